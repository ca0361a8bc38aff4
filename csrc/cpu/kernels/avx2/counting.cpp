#if defined(__x86_64__)

#include "cpu/kernels/avx2/target.h"
//
#include "cpu/kernels/activation/activation_hash_body.h"
#include "cpu/kernels/relu/counting_relu_body.h"
//
#include "cpu/kernels/end_target.h"

#endif
