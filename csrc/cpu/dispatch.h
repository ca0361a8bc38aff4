#pragma once

#include "cpu/kernels/kernels.h"

namespace relustat::cpu {

// The loops for this machine, or for the level that ATEN_CPU_CAPABILITY asks for.
const Kernels& kernels();

}  // namespace relustat::cpu
