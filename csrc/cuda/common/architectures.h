#pragma once

#include <string>

namespace relustat::cuda {

// The architectures that nvcc compiles this file for, as in "sm_75, sm_90".
inline std::string built_architectures() {
  std::string text;
  for (const int architecture : {__CUDA_ARCH_LIST__}) {
    if (!text.empty()) text += ", ";
    text += "sm_" + std::to_string(architecture / 10);
  }
  return text;
}

}  // namespace relustat::cuda
