#include "holdfast/base/file.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

namespace holdfast {

std::string how_to_open_more(int error) {
  // Enough for a member with many threads and neighbours.
  constexpr rlim_t kUsualFiles = 1024;
  if (error == ENFILE) return "; all processes together have too many: raise fs.file-max, or end some";
  if (error != EMFILE) return "";
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return fmt::format(
      "; the limit of this process is {}. Raise it: `ulimit -n {}` before starting (hard limit: nofile in "
      "/etc/security/limits.conf, LimitNOFILE= in the unit of the resource manager), or close some",
      limit.rlim_cur, std::max<rlim_t>(kUsualFiles, 2 * limit.rlim_cur));
}

}  // namespace holdfast
