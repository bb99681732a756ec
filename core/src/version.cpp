#include "holdfast/version.h"

namespace holdfast {

std::string_view version() noexcept { return HOLDFAST_VERSION; }

}  // namespace holdfast
