#include "cuda/relu/counting_activation_launch.cuh"

template void relustat::cuda::launch_counting_activation<relustat::Float64>(
    relustat::Binning, const relustat::UnitLayout&,
    const relustat::cuda::CountingActivationCall<relustat::Float64>&);
