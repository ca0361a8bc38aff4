#include "cuda/common/divider.h"
#include "pooling_cases.h"

// Buffers: numbers to divide, and their quotients.
void run_divide(Case& call) {
  const relustat::cuda::Divider<int32_t> divider(call.take());
  const auto* const numbers = static_cast<const int32_t*>(call.buffer(0));
  auto* const quotients = static_cast<int32_t*>(call.buffer(1));
  for (int64_t i = 0; i < call.buffers[0].bytes / 4; ++i) {
    quotients[i] = divider.quotient(numbers[i]);
  }
}

// Buffer: whether 32-bit indices do.
void run_fits_narrow_index(Case& call) {
  relustat::cuda::PoolingCall pooling_call{};
  take_pooling(call, pooling_call);
  *static_cast<uint8_t*>(call.buffer(0)) = pooling_call.fits_narrow_index() ? 1 : 0;
}
