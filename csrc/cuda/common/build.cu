#include "cuda/common/build.h"

#include "cuda/common/architectures.h"

#define RELUSTAT_AS_TEXT(value) #value
#define RELUSTAT_VALUE_AS_TEXT(value) RELUSTAT_AS_TEXT(value)

namespace relustat::cuda {

const char* build() {
  static const std::string text =
      RELUSTAT_VALUE_AS_TEXT(__CUDACC_VER_MAJOR__) "." RELUSTAT_VALUE_AS_TEXT(
          __CUDACC_VER_MINOR__) " for " +
      built_architectures();
  return text.c_str();
}

}  // namespace relustat::cuda
