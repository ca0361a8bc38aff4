#pragma once

#include "common/float_format.h"
#include "memory.cuh"

namespace probe {

// Square windows without padding or dilation, over planes [rows, columns]; cells of one plane lie
// `channels` apart where channels are last.
struct Pool {
  int64_t images, channels, rows, columns;
  int64_t kernel, stride;
  bool channels_last;

  __host__ __device__ int64_t rows_out() const { return (rows - kernel) / stride + 1; }
  __host__ __device__ int64_t columns_out() const { return (columns - kernel) / stride + 1; }
  __host__ __device__ int64_t cells() const { return images * channels * rows * columns; }
  __host__ __device__ int64_t windows() const {
    return images * channels * rows_out() * columns_out();
  }
};

// An index into cells, or into windows, of a Pool.
struct Position {
  int64_t image, channel, row, column;

  __device__ Position(int64_t index, const Pool& pool, int64_t rows, int64_t columns) {
    if (pool.channels_last) {
      channel = index % pool.channels;
      index /= pool.channels;
    }
    column = index % columns;
    index /= columns;
    row = index % rows;
    index /= rows;
    if (!pool.channels_last) {
      channel = index % pool.channels;
      index /= pool.channels;
    }
    image = index;
  }

  // Of another row and column of the same plane.
  __device__ int64_t index_of(const Pool& pool, int64_t at_row, int64_t at_column, int64_t rows,
                              int64_t columns) const {
    if (pool.channels_last) {
      return ((image * rows + at_row) * columns + at_column) * pool.channels + channel;
    }
    return ((image * pool.channels + channel) * rows + at_row) * columns + at_column;
  }
};

// The first of the largest, and the last NaN.
template <class Format>
__global__ void max_pool_reference(const typename Format::Bits* x, typename Format::Bits* y,
                                   uint8_t* switches, Pool pool) {
  for_each(pool.windows(), [&](int64_t i) {
    const Position window(i, pool, pool.rows_out(), pool.columns_out());
    int64_t best = -1;
    for (int64_t tap = 0; tap < pool.kernel * pool.kernel; ++tap) {
      const int64_t row = window.row * pool.stride + tap / pool.kernel;
      const int64_t column = window.column * pool.stride + tap % pool.kernel;
      const int64_t cell = window.index_of(pool, row, column, pool.rows, pool.columns);
      const float value = Format::value(x[cell]);
      if (best < 0 || value > Format::value(y[i]) || value != value) {
        best = tap;
        y[i] = x[cell];
      }
    }
    switches[i] = static_cast<uint8_t>(best);
  });
}

// The last window that points at a cell, or -1.
__device__ inline int64_t last_window(const uint8_t* switches, const Pool& pool,
                                      const Position& cell) {
  int64_t last = -1;
  for (int64_t row = 0; row < pool.kernel; ++row) {
    for (int64_t column = 0; column < pool.kernel; ++column) {
      // The window of which the cell is this tap; windows come in order as taps go back.
      const int64_t tap_row = pool.kernel - 1 - row;
      const int64_t tap_column = pool.kernel - 1 - column;
      const int64_t begin_row = cell.row - tap_row;
      const int64_t begin_column = cell.column - tap_column;
      if (begin_row < 0 || begin_row % pool.stride != 0 || begin_column < 0 ||
          begin_column % pool.stride != 0 || begin_row / pool.stride >= pool.rows_out() ||
          begin_column / pool.stride >= pool.columns_out()) {
        continue;
      }
      const int64_t window =
          cell.index_of(pool, begin_row / pool.stride, begin_column / pool.stride, pool.rows_out(),
                        pool.columns_out());
      if (switches[window] == tap_row * pool.kernel + tap_column) last = window;
    }
  }
  return last;
}

template <class Bits>
__global__ void max_unpool_reference(const Bits* y, const uint8_t* switches, Bits* x, Pool pool) {
  for_each(pool.cells(), [&](int64_t i) {
    const int64_t last = last_window(switches, pool, Position(i, pool, pool.rows, pool.columns));
    x[i] = last < 0 ? Bits{0} : y[last];
  });
}

// y_gradient is 0 before.
template <class Bits>
__global__ void max_unpool_backward_reference(const Bits* gradient, const uint8_t* switches,
                                              Bits* y_gradient, Pool pool) {
  for_each(pool.cells(), [&](int64_t i) {
    const int64_t last = last_window(switches, pool, Position(i, pool, pool.rows, pool.columns));
    if (last >= 0) y_gradient[last] = gradient[i];
  });
}

}  // namespace probe
