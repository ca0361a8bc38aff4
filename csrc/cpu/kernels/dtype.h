#pragma once

#include <cstdint>

namespace relustat::cpu {

enum class Dtype { kFloat32, kFloat64, kBFloat16, kFloat16 };

}  // namespace relustat::cpu
