#pragma once

#define RELUSTAT_ISA baseline
#define RELUSTAT_VECTOR_BYTES 16
// Processors of this kind without AVX2 are rare, and each scheme takes half a minute to compile.
#if defined(__x86_64__)
#define RELUSTAT_TALLIES_ONE_BY_ONE
#endif
