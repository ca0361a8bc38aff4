#define RELUSTAT_ISA baseline
#include "counting_relu_body.h"

namespace relustat::cpu {

void counting_relu_baseline(const CountingReluShare& share) { count_share(share); }

}  // namespace relustat::cpu
