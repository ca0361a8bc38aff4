#if defined(__x86_64__)

#include "cpu/kernels/avx512/target.h"
//
#include "cpu/kernels/pool/check_switches_body.h"
#include "cpu/kernels/pool/max_pool_body.h"
//
#include "cpu/kernels/end_target.h"

#endif
