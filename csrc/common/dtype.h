#pragma once

namespace relustat {

// The dtypes that kernels are compiled for.
enum class Dtype { kFloat32, kFloat64, kBFloat16, kFloat16 };

}  // namespace relustat
