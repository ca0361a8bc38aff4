#pragma once

#include <cstdint>

#include "common/float_format.h"
#include "cpu/kernels/pool/pool_stream.h"
#include "cpu/kernels/relu/counting_relu.h"
#include "cpu/kernels/relu/rectify.h"
#include "cpu/kernels/relu/span.h"

// Part of counting_relu_body.h, and compiled with it for each instruction set.

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {
namespace {

// Where a share's rectified spans are written, one after the other: y, or a stream that is pooled;
// or, if they are not wanted, each over the one before it.
template <class Format>
class RectifiedOutput {
 public:
  using Bits = typename Format::Bits;

  RectifiedOutput(const CountingReluShare& share, PoolStream* stream)
      : stream_(stream), to_(static_cast<Bits*>(share.y)), end_(share.end) {
    if (stream == nullptr) {
      if (to_ == nullptr) forget_before(share.begin);
      return;
    }
    follow_stream();
    // The elements before the share that its first windows see. Another share counts them.
    const auto* const x = static_cast<const Bits*>(share.x);
    for (int64_t i = first_; i < share.begin; ++i) to_[i - first_] = rectify<Format>(x[i]);
  }

  // The position of the span that begins with element i; all before it is written.
  [[gnu::always_inline]] inline Bits* at(int64_t i) {
    if (i > last_) [[unlikely]] {
      make_room(i);
    }
    return to_ + (i - first_);
  }

  // Asks for the memory of the span that begins with element i. A stream's is there, and so is a
  // span's.
  [[gnu::always_inline]] inline void fetch(int64_t i) const {
    if (last_ != INT64_MAX) return;
    for (int64_t line = 0; line < kSpan; line += kCacheLineBytes / sizeof(Bits)) {
      __builtin_prefetch(to_ + i + line, /*write=*/1);
    }
  }

  void finish() {
    if (stream_ != nullptr) stream_->pool_before(end_, /*is_last=*/true);
  }

 private:
  [[gnu::noinline]] void make_room(int64_t i) {
    if (stream_ == nullptr) return forget_before(i);
    stream_->pool_before(i, /*is_last=*/false);
    follow_stream();
  }

  void forget_before(int64_t i) {
    to_ = unwanted_;
    first_ = i;
    last_ = i;
  }

  void follow_stream() {
    to_ = static_cast<Bits*>(stream_->cells());
    first_ = stream_->first();
    last_ = stream_->end() - kSpan;
  }

  PoolStream* const stream_;
  Bits* to_;
  const int64_t end_;
  int64_t first_ = 0;         // the element at to_
  int64_t last_ = INT64_MAX;  // the last element that a span may begin with
  Bits unwanted_[kSpan];
};

// Calls function(stream) with the stream of a share, or with null.
template <class Function>
void with_stream(const CountingReluShare& share, const Function& function) {
  if (share.pooled == nullptr) return function(nullptr);
  PoolStream stream(*share.pooled, kSpan, share.begin, share.pool_scratch);
  function(&stream);
}

template <class Format>
void rectify_uncounted(const CountingReluShare& share, PoolStream* stream) {
  using Bits = typename Format::Bits;
  RectifiedOutput<Format> output(share, stream);
  const auto* const x = static_cast<const Bits*>(share.x);
  int64_t i = share.begin;
  for (; i + kSpan <= share.end; i += kSpan) rectify_part<Format>(x + i, output.at(i));
  Bits* const rest = output.at(i);
  for (int64_t k = 0; k < share.end - i; ++k) rest[k] = rectify<Format>(x[i + k]);
  output.finish();
}

}  // namespace
}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
