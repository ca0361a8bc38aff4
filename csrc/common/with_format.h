#pragma once

#include "common/dtype.h"
#include "common/float_format.h"

namespace relustat {
inline namespace RELUSTAT_ISA {

// Calls visit.operator()<Format>().
template <class Visit>
void with_format(Dtype dtype, const Visit& visit) {
  switch (dtype) {
    case Dtype::kFloat32:
      return visit.template operator()<Float32>();
    case Dtype::kFloat64:
      return visit.template operator()<Float64>();
    case Dtype::kBFloat16:
      return visit.template operator()<BFloat16>();
    case Dtype::kFloat16:
      return visit.template operator()<Float16>();
  }
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat
