#pragma once

// One body of element arithmetic serves the CPU loops and the CUDA kernels.
#if defined(__CUDACC__)
#define RELUSTAT_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define RELUSTAT_HOST_DEVICE inline
#endif

// The same header is compiled for several instruction sets in one library. Were the names the
// same, the linker could keep the AVX-512 copy of an inline function and run it on a machine
// without AVX-512; so each translation unit has its own inline namespace.
#ifndef RELUSTAT_ISA
#define RELUSTAT_ISA portable
#endif
