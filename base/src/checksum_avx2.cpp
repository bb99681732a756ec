#include "src/checksum_kernel.h"

namespace holdfast {

const ChecksumKernel* avx2_checksum_kernel() noexcept {
#if defined(__AVX2__)
  return &kKernel;
#else
  return nullptr;
#endif
}

}  // namespace holdfast
