// Includes every loop and lists them. A file that compiles them for its instruction set says
// before which it is: RELUSTAT_ISA, and RELUSTAT_VECTOR_BYTES.

#include "activation_hash_body.h"
#include "check_switches_body.h"
#include "counting_relu_body.h"
#include "kernels.h"
#include "max_pool_body.h"
#include "max_unpool_backward_body.h"
#include "max_unpool_body.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

constexpr Kernels kKernels = {
    .counting_relu = count_share,
    .activation_hash = activation_hash_share,
    .max_pool = max_pool_share,
    .check_switches = check_switches_share,
    .max_unpool = max_unpool_share,
    .max_unpool_backward = max_unpool_backward_share,
};

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
