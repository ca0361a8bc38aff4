#include "cpu/kernels/baseline/target.h"
//
#include "cpu/kernels/pool/check_switches_body.h"
#include "cpu/kernels/pool/max_pool_body.h"
