// The CPU loop of counting_relu. Included once per instruction set, after RELUSTAT_ISA is set.
// Torch-free and STL-free: nothing here may be shared with a file compiled for another one.

#include <cstdint>

#include "common/with_format.h"
#include "cpu/kernels/relu/counting_loop.h"
#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/rectified_output.h"
#include "cpu/kernels/relu/run_with_bins.h"
#include "cpu/kernels/relu/tiling.h"
#include "cpu/kernels/relu/unit_columns.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

void count_share(const CountingReluShare& share, PoolStream* stream) {
  const Tiling tiling =
      make_tiling(share.units, share.inner, share.bins, static_cast<Binning>(share.binning), false,
                  share.activation != Activation::kRelu);
  with_format(share.dtype, [&]<class Format>() {
    uint32_t* const tally_scratch = share.scratch + tiling.column_words;
    if (share.by_strips) {
      UnitColumns<Format> loop(share, tally_scratch);
      run_with_bins<Format>(share, loop);
    } else {
      Loop<Format> loop(share, stream, tiling.columns, tally_scratch);
      run_with_bins<Format>(share, loop);
    }
  });
}

}  // namespace

void counting_relu_share(const CountingReluShare& share) {
  with_stream(share, [&](PoolStream* stream) { count_share(share, stream); });
}

void rectify_and_pool_share(const CountingReluShare& share) {
  with_stream(share, [&](PoolStream* stream) {
    with_format(share.dtype, [&]<class Format>() { rectify_uncounted<Format>(share, stream); });
  });
}

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
