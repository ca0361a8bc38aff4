#include "cpu/kernels/baseline/target.h"
//
#include "cpu/kernels/pool/max_unpool_backward_body.h"
#include "cpu/kernels/pool/max_unpool_body.h"
