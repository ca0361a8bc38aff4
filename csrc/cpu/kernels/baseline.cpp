#define RELUSTAT_ISA baseline
#define RELUSTAT_VECTOR_BYTES 16
#include "kernel_bodies.h"

namespace relustat::cpu {

constinit const Kernels kBaselineKernels = kKernels;

}  // namespace relustat::cpu
