#include "cpu/kernels/baseline/target.h"
//
#include "cpu/kernels/activation/activation_hash_body.h"
#include "cpu/kernels/relu/counting_relu_body.h"
