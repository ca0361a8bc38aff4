#include "cuda/relu/counting_activation_launch.cuh"

template void relustat::cuda::launch_counting_activation<relustat::BFloat16>(
    relustat::Binning, const relustat::UnitLayout&,
    const relustat::cuda::CountingActivationCall<relustat::BFloat16>&);
