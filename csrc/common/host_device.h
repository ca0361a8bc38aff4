#pragma once

// One body of element arithmetic serves the CPU loops and the CUDA kernels.
#if defined(__CUDACC__)
#define RELUSTAT_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define RELUSTAT_HOST_DEVICE inline
#endif

// The same header is compiled for several instruction sets in one library. If the names were the
// same, the linker could keep the AVX-512 copy of an inline function, and a machine without AVX-512
// would run it. So each instruction set has its own inline namespace.
#ifndef RELUSTAT_ISA
#define RELUSTAT_ISA portable
#endif
