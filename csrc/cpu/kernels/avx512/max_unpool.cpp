#if defined(__x86_64__)

#include "cpu/kernels/avx512/target.h"
//
#include "cpu/kernels/pool/max_unpool_backward_body.h"
#include "cpu/kernels/pool/max_unpool_body.h"
//
#include "cpu/kernels/end_target.h"

#endif
