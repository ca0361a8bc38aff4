#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/sum.h>
#include <torch/csrc/autograd/graph_task.h>

#include <optional>

#include "cuda/relu/counting_relu_call.h"
#include "cuda/relu/workspace.h"
#include "relu/checks.h"
#include "relu/dense_relu.h"

namespace relustat::cuda {

// Whether a backward pass runs. A forward inside it (activation checkpointing) repeats one that was
// counted before.
inline bool is_recomputation() { return torch::autograd::get_current_graph_task_id() != -1; }

// A call of counting_relu's kernel on a dense x, without y; and the tensors that it points to.
class CallOnTensors {
 public:
  CallOnTensors(const at::Tensor& x, const at::Tensor& counters, const at::Tensor& edges,
                int64_t unit_dim, const std::optional<at::Tensor>& mask,
                const std::optional<at::Tensor>& blocks, const CounterLayout& layout) {
    TORCH_CHECK(layout.units < kMostUnits, "counting_relu: on a GPU, units must be fewer than ",
                kMostUnits, ", got ", layout.units);
    kernel_call.x = x.const_data_ptr();
    kernel_call.edges = edges.const_data_ptr<float>();
    kernel_call.bins = edges.numel() == 0 ? 0 : edges.numel() - 1;
    kernel_call.counters = reinterpret_cast<Count*>(counters.mutable_data_ptr<int64_t>());
    kernel_call.workspace = static_cast<Count*>(workspace_words(Workspace::size(layout)));
    if (mask.has_value()) {
      mask_ = dense_mask(*mask, x, unit_dim);
      kept_ = at::sum(mask_);
      kernel_call.mask = static_cast<const uint8_t*>(mask_.const_data_ptr());
      kernel_call.kept = reinterpret_cast<const Count*>(kept_.const_data_ptr<int64_t>());
    }
    if (blocks.has_value()) {
      kernel_call.blocks = reinterpret_cast<const Count*>(blocks->const_data_ptr<int64_t>());
    }
    kernel_call.layout = layout;
  }

  CountingReluCall kernel_call{};

 private:
  at::Tensor mask_;
  at::Tensor kept_;
};

}  // namespace relustat::cuda
