// What `holdfast --help` teaches below the list of options.
#pragma once

#include <string>

namespace holdfast::cli {

/// Examples, and every environment variable with its meaning.
std::string help_footer();

}  // namespace holdfast::cli
