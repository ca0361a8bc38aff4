#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/common/scratch_layout.h"
#include "cpu/kernels/pool/pool_plan.h"
#include "cpu/kernels/pool/pooled_tensor.h"
#include "cpu/kernels/pool/window_rows.h"

namespace relustat::cpu {
inline namespace RELUSTAT_ISA {

void max_pool_share(const MaxPoolShare& share);

// A thread's scratch for a stream: what the pool needs, and a part of its input.
struct StreamLayout : ScratchLayout {
  int64_t pool;
  int64_t cells;
  int64_t capacity;  // of cells

  // most_at_once: the largest number of elements that come together.
  StreamLayout(const PooledTensor& pooled, const WindowRows& rows, int64_t most_at_once) {
    int64_t together = kBytesAtOnce / pooled.element_bytes;
    if (rows.is_by_planes() && together < PoolPlan::kGroup * rows.plane_elements()) {
      together = PoolPlan::kGroup * rows.plane_elements();
    }
    capacity = rows.most_elements() + together + 2 * most_at_once;
    pool = take(rows.plan().bytes, 1);
    cells = take(capacity, pooled.element_bytes);
  }

 private:
  // They stay in the L1 cache, or nearly so.
  static constexpr int64_t kBytesAtOnce = 32 << 10;
};

// Pools a tensor that comes element by element in the order of memory. What is still needed stays
// in a scratch memory; a row of windows is pooled when all its elements are there.
//
// A stream begins at any element. Its rows are those that end behind it.
class PoolStream {
 public:
  PoolStream(const PooledTensor& pooled, int64_t most_at_once, int64_t begin, void* scratch)
      : rows_(pooled), share_(pooled.share), element_bytes_(pooled.element_bytes) {
    const StreamLayout layout(pooled, rows_, most_at_once);
    char* const memory = static_cast<char*>(scratch);
    cells_ = memory + layout.cells;
    capacity_ = layout.capacity;
    share_.x = cells_;
    share_.scratch = memory + layout.pool;
    row_ = rows_.complete_before(begin);
    first_ = first_needed(begin);
  }

  // Elements [first(), end()) have room, and the first ones of them are needed before `begin`.
  int64_t first() const { return first_; }
  int64_t end() const { return first_ + capacity_; }
  void* cells() const { return cells_; }

  // All elements before this one are there. Makes room behind it.
  void pool_before(int64_t element, bool is_last) {
    int64_t complete = rows_.complete_before(element);
    if (rows_.is_by_planes() && !is_last && complete - row_ >= PoolPlan::kGroup) {
      complete -= (complete - row_) % PoolPlan::kGroup;
    }
    if (complete > row_) {
      share_.begin = row_ * rows_.parts_in_row();
      share_.end = complete * rows_.parts_in_row();
      share_.first_cell = first_;
      max_pool_share(share_);
      row_ = complete;
    }
    const int64_t first = first_needed(element);
    memmove(cells_, cells_ + (first - first_) * element_bytes_, (element - first) * element_bytes_);
    first_ = first;
  }

 private:
  int64_t first_needed(int64_t element) const {
    if (row_ == rows_.size()) return element;
    const int64_t begin = rows_.begin(row_);
    return begin < element ? begin : element;
  }

  const WindowRows rows_;
  MaxPoolShare share_;
  const int64_t element_bytes_;
  char* cells_;
  int64_t capacity_;
  int64_t row_;    // the first one that is not pooled
  int64_t first_;  // where cells_ begins
};

}  // namespace RELUSTAT_ISA
}  // namespace relustat::cpu
