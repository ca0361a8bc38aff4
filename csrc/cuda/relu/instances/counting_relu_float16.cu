#include "cuda/relu/counting_relu_launch.cuh"

template void relustat::cuda::launch_counting_relu<relustat::Float16>(
    relustat::Binning, const relustat::UnitLayout&, const relustat::cuda::CountingReluCall&);
