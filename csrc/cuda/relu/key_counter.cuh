#pragma once

#include "cuda/relu/block_histogram.cuh"
#include "cuda/relu/key_binner.h"
#include "cuda/relu/nan_counter.cuh"
#include "cuda/relu/word.h"

namespace relustat::cuda {

// The number of keys of one copy, in the tables of a block.
constexpr int kKeyBits = 12;
constexpr int64_t kKeys = 1 << kKeyBits;

// Calls visit(v, moved bits >> shift). Bits above those of the key are not defined.
template <class Format, int kVector, class Visit>
__device__ void for_each_moved(const Vector<Format, kVector>& x, int32_t shift,
                               const Visit& visit) {
  if constexpr (Vector<Format, kVector>::kInWord == 1) {
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      // An arithmetic shift: its sum is one instruction.
      const auto is_below_zero = static_cast<uint32_t>(static_cast<int32_t>(x[v]) >> 31);
      visit(v, (x[v] + is_below_zero) >> shift);
    }
  } else {
#pragma unroll
    for (int i = 0; i < kVector / 2; ++i) {
      const uint32_t word = x.words.of[i];
      const uint32_t moved = word - (word >> 15 & 0x00010001u);
      visit(2 * i, moved >> shift);
      visit(2 * i + 1, moved >> (16 + shift));
    }
  }
}

// LogBins with one histogram: counts keys. Elements without a key are counted by slot, one by one.
template <class Format, int kVector>
class KeyCounter {
 public:
  using Bits = typename Format::Bits;
  struct Made {
    KeyBinner<Format> keys;
    int32_t table_bits;  // of the bytes of all keys and copies
  };
  static constexpr int kUnroll = in_flight(4, sizeof(Bits));
  static constexpr bool kTogether = false;

  static CountingTable table(const CounterLayout& counters) {
    // float16 with 8 bins in an octave has only 512 keys.
    const int32_t copies = Format::kInfinity == 0x7c00u ? 1 : 4;
    return {kKeys, counters.slots, copies, false, true};
  }

  static __device__ Made make(const CountingReluCall& call) {
    int table_bits = 2 + kKeyBits;
    for (int32_t copies = call.tiling.copies; copies > 1; copies /= 2) ++table_bits;
    return {KeyBinner<Format>::make(call.edges, call.bins, table_bits - 2), table_bits};
  }
  // If there are fewer keys than the table can hold, there are more copies.
  __device__ KeyCounter(const CountingReluCall& call, const Made& made)
      : call_(call),
        made_(made),
        limit_(made.keys.limit),
        shift_(KeyBinner<Format>::kBits - made.table_bits),
        mask_((1u << made.table_bits) - (4u << copy_bits())),
        copy_(shared_address() + kControlBytes + (threadIdx.x & ((1u << copy_bits()) - 1)) * 4) {}

  __device__ void prepare() {}
  __device__ bool is_per_unit() const { return false; }
  __device__ void enter(const Strip&, int32_t) {}

  // Returns whether no element is a NaN.
  __device__ bool count(const Vector<Format, kVector>& x) {
    if (has_magnitude<Format>(x, limit_)) {
#pragma unroll
      for (int v = 0; v < kVector; ++v) count_one(x[v]);
      return false;
    }
    for_each_moved<Format>(x, shift_, [&](int, uint32_t moved) { add_key(moved); });
    return true;
  }

  __device__ void count_at(Bits bits, const Strip&, int32_t) { count_one(bits); }

  __device__ void add_to_counters(const Strip&) {
    Count* const histogram = call_.counters + call_.layout.histogram();
    const int32_t copies = 1 << copy_bits();
    if (limit_ > 0) {
      for (uint32_t key = threadIdx.x; key < 1u << made_.keys.key_bits(); key += blockDim.x) {
        const uint32_t sum = take_copies(words() + key * copies, copies);
        if (sum > 0) add_global(histogram + made_.keys.slot_of_key(key), sum);
      }
    }
    for (uint32_t slot = threadIdx.x; slot < call_.layout.slots; slot += blockDim.x) {
      const uint32_t sum = take_copies(slots() + slot, 1);
      if (sum > 0) add_global(histogram + slot, sum);
    }
  }

 private:
  __device__ uint32_t copy_bits() const {
    return made_.keys.limit > 0 ? made_.table_bits - 2 - made_.keys.key_bits() : 0;
  }
  __device__ uint32_t* words() const {
    return reinterpret_cast<uint32_t*>(shared_memory() + kControlBytes);
  }
  __device__ uint32_t* slots() const { return words() + (1u << (made_.table_bits - 2)); }
  // Of moved bits >> shift_.
  __device__ void add_key(uint32_t moved) const { add_shared(copy_ + (moved & mask_), 1); }

  __device__ void count_one(Bits bits) {
    if (made_.keys.is_key(bits)) {
      const uint32_t moved = KeyBinner<Format>::moved(bits);
      add_key(moved >> shift_);
    } else {
      atomicAdd(slots() + made_.keys.slot(bits), 1u);
    }
  }

  const CountingReluCall& call_;
  const Made& made_;
  const Bits limit_;
  const int32_t shift_;
  const uint32_t mask_;  // of a key in a word's offset, in bytes
  const uint32_t copy_;  // the start of the thread's copy
};

// LogBins with a histogram for each unit: a table in shared memory has the slot of each key.
template <class Format, int kVector>
class KeySlotCounter {
 public:
  using Bits = typename Format::Bits;
  using Made = KeyBinner<Format>;
  static constexpr int kUnroll = in_flight(4, sizeof(Bits));
  static constexpr bool kTogether = false;
  static constexpr int kTableWords = kKeys / 2;  // of 16 bits for each key

  static CountingTable table(const CounterLayout& counters) {
    CountingTable table = CountingTable::of_slots(counters);
    table.besides = kTableWords;
    return table;
  }

  static __device__ Made make(const CountingReluCall& call) {
    return Made::make(call.edges, call.bins, kKeyBits);
  }
  __device__ KeySlotCounter(const CountingReluCall& call, const Made& made)
      : made_(made),
        limit_(made.limit),
        shift_(made.shift - 1),
        mask_((2u << made.key_bits()) - 2),
        slot_words_(call.tiling.slot_bytes / 4),
        histogram_(call) {}

  __device__ void prepare() {
    if (limit_ == 0) return;
    auto* const offsets = reinterpret_cast<uint16_t*>(shared_memory() + kControlBytes);
    for (uint32_t key = threadIdx.x; key < 1u << made_.key_bits(); key += blockDim.x) {
      offsets[key] = static_cast<uint16_t>(made_.slot_of_key(key) * slot_words_);
    }
  }
  __device__ bool is_per_unit() const { return true; }
  __device__ void enter(const Strip& strip, int32_t column) { histogram_.enter(strip, column); }

  // Returns whether no element is a NaN.
  __device__ bool count(const Vector<Format, kVector>& x) {
    if (has_magnitude<Format>(x, limit_)) {
#pragma unroll
      for (int v = 0; v < kVector; ++v) histogram_.add(made_.slot(x[v]), v);
      return false;
    }
    uint32_t offsets[kVector];
    for_each_moved<Format>(x, shift_, [&](int v, uint32_t moved) {
      offsets[v] = load_shared_16(table_ + (moved & mask_));
    });
#pragma unroll
    for (int v = 0; v < kVector; ++v) histogram_.add_at_offset(4 * offsets[v], v);
    return true;
  }

  __device__ void count_at(Bits bits, const Strip& strip, int32_t position) {
    histogram_.add_at(made_.slot(bits), strip, position);
  }

  __device__ void add_to_counters(const Strip& strip) { histogram_.add_to_counters(strip); }

 private:
  const Made& made_;
  const Bits limit_;
  const int32_t shift_;  // from moved bits to twice the key
  const uint32_t mask_;  // of that
  const uint32_t table_ = shared_address() + kControlBytes;
  const uint32_t slot_words_;
  BlockHistogram<kVector, Placement::kPerUnit, kTableWords> histogram_;
};

}  // namespace relustat::cuda
