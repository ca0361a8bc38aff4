#pragma once

#include <ATen/core/Tensor.h>

#include "pool/checks.h"

namespace relustat {

// The memory format of nn.MaxPool*d's output for F.relu's. The latter has the strides of one format
// where those of dimensions of size 1 leave a choice: see empty_relu_output().
inline at::MemoryFormat pooling_format_of_relu(const at::Tensor& x, int64_t axes) {
  if (x.is_contiguous()) return at::MemoryFormat::Contiguous;
  const bool is_channels_last =
      axes == 2 && x.dim() == 4 && x.is_contiguous(at::MemoryFormat::ChannelsLast);
  return is_channels_last ? at::MemoryFormat::ChannelsLast : pooling_format(x, axes);
}

}  // namespace relustat
