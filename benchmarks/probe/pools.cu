#include <algorithm>
#include <cstdio>
#include <limits>

#include "cuda/pool/max_pool.cuh"
#include "cuda/pool/max_unpool.cuh"
#include "cuda/pool/max_unpool_backward.cuh"
#include "data.cuh"
#include "pool_reference.cuh"
#include "timing.cuh"

namespace probe {
namespace {

using relustat::Dtype;
using relustat::Overlap;
using relustat::PoolingNumbers;
using relustat::WindowNumbers;
using relustat::cuda::PoolingCall;

constexpr auto launch = [](auto kernel, const auto& arguments) {
  constexpr int kThreads = relustat::cuda::kThreads;
  const auto blocks = (static_cast<int64_t>(arguments.threads) + kThreads - 1) / kThreads;
  kernel<<<static_cast<unsigned int>(blocks), kThreads>>>(arguments);
  PROBE_CHECK(cudaGetLastError());
};

PoolingCall call_of(const Pool& pool, Dtype dtype) {
  const WindowNumbers d{1, 1, 1, 1, 0, 1};
  const WindowNumbers h{pool.rows, pool.rows_out(), pool.kernel, pool.stride, 0, 1};
  const WindowNumbers w{pool.columns, pool.columns_out(), pool.kernel, pool.stride, 0, 1};
  return {.dtype = dtype,
          .wide_offsets = false,
          .pooling = {d, h, w},
          .planes = pool.channels_last ? pool.images : pool.images * pool.channels,
          .channels = pool.channels_last ? pool.channels : 1};
}

template <class Format>
class Rows {
 public:
  Rows(const Options& options, const char* format, Dtype dtype, const Pool& pool)
      : options_(options),
        format_(format),
        pool_(pool),
        call_(call_of(pool, dtype)),
        x_(pool.cells()),
        y_(pool.windows()),
        switches_(pool.windows()) {}

  int all() {
    fill<Format>(x_, false);
    return max_pool() + max_unpool() + max_unpool_backward();
  }

 private:
  using Bits = typename Format::Bits;

  // Leaves what is right in y_ and switches_, for the rows that come after.
  int max_pool() {
    const Array<Bits> y(y_.size());
    const Array<uint8_t> switches(switches_.size());
    y.fill_bytes(0x5a);
    switches.fill_bytes(0x5a);
    const relustat::cuda::MaxPoolCall call{call_, x_.data(), y.data(), switches.data()};
    const auto run = [&](int) { relustat::cuda::with_max_pool_kernel_of<Format>(call, launch); };
    run(0);
    max_pool_reference<Format>
        <<<kBlocks, kThreads>>>(x_.data(), y_.data(), switches_.data(), pool_);
    PROBE_CHECK(cudaGetLastError());
    const bool exact = are_equal(y, y_) && are_equal(switches, switches_);
    return row("max_pool", exact, run, x_.bytes() + y_.bytes() + switches_.bytes());
  }

  int max_unpool() {
    const Array<Bits> x(x_.size()), expected(x_.size());
    x.fill_bytes(0x5a);
    relustat::cuda::MaxUnpoolCall call{call_, y_.data(), switches_.data(), x.data(),
                                       Overlap::kLast};
    const auto run = [&](int) { relustat::cuda::with_max_unpool_kernel_of<Format>(call, launch); };
    run(0);
    max_unpool_reference<<<kBlocks, kThreads>>>(y_.data(), switches_.data(), expected.data(),
                                                pool_);
    PROBE_CHECK(cudaGetLastError());
    return row("max_unpool", are_equal(x, expected), run,
               x_.bytes() + y_.bytes() + switches_.bytes());
  }

  int max_unpool_backward() {
    const Array<Bits> y_gradient(y_.size()), expected(y_.size());
    y_gradient.fill_bytes(0x5a);
    expected.fill_bytes(0);
    relustat::cuda::MaxUnpoolBackwardCall call{
        call_, x_.data(), nullptr, switches_.data(), y_gradient.data(), Overlap::kLast};
    const auto run = [&](int) {
      relustat::cuda::with_max_unpool_backward_kernel_of<Format>(call, launch);
    };
    run(0);
    max_unpool_backward_reference<<<kBlocks, kThreads>>>(x_.data(), switches_.data(),
                                                         expected.data(), pool_);
    PROBE_CHECK(cudaGetLastError());
    return row("backward", are_equal(y_gradient, expected), run,
               x_.bytes() + y_.bytes() + switches_.bytes());
  }

  template <class Run>
  int row(const char* op, bool exact, const Run& run, int64_t bytes) {
    std::printf("%-10s %dx%d/%d %-13s %-8s %3dx%dx%dx%-3d %11s %s", op,
                static_cast<int>(pool_.kernel), static_cast<int>(pool_.kernel),
                static_cast<int>(pool_.stride), pool_.channels_last ? "channels_last" : "", format_,
                static_cast<int>(pool_.images), static_cast<int>(pool_.channels),
                static_cast<int>(pool_.rows), static_cast<int>(pool_.columns), "",
                exact ? "exact" : "WRONG");
    if (options_.mode == Mode::kTimed) {
      const double taken = microseconds(run);
      std::printf(" %9.1f us  %5.2f TB/s", taken, bytes / taken * 1e-6);
    }
    std::printf("\n");
    return exact ? 0 : 1;
  }

  const Options& options_;
  const char* const format_;
  const Pool pool_;
  const PoolingCall call_;
  const Array<Bits> x_;
  const Array<Bits> y_;
  const Array<uint8_t> switches_;
};

}  // namespace

int pool_rows(const Options& options) {
  int wrong = 0;
  for (const int64_t kernel : {2, 3}) {
    for (const bool channels_last : {false, true}) {
      // Widths that are whole vectors, and that are not.
      for (const int64_t side : {int64_t{112}, int64_t{55}}) {
        const bool small = options.mode == Mode::kSmall;
        const Pool pool = small ? Pool{1, 8, side / 8, side / 8, kernel, 2, channels_last}
                                : Pool{64, 64, side, side, kernel, 2, channels_last};
        wrong += Rows<relustat::Float32>(options, "float32", Dtype::kFloat32, pool).all();
        wrong += Rows<relustat::BFloat16>(options, "bfloat16", Dtype::kBFloat16, pool).all();
      }
    }
  }
  return wrong;
}

}  // namespace probe
