#include "cli/run/command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace holdfast::run {
namespace {

/// What a rank on another host needs of our environment besides what the user exports.
bool is_handed_on(std::string_view name) {
  return name == "PATH" || name == "LD_LIBRARY_PATH" || name == "PYTHONPATH" ||
         name.starts_with("HOLDFAST_") || name.starts_with("FI_");
}

std::vector<std::string> rank_environment(const Options& options, const Job& job, std::uint32_t rank) {
  return {
      fmt::format("HOLDFAST_RANK={}", rank),
      fmt::format("HOLDFAST_SIZE={}", options.ranks),
      fmt::format("HOLDFAST_JOB={}", job.name),
      fmt::format("HOLDFAST_RENDEZVOUS={}", job.directory),
      // libinfinipath, which Debian's libfabric pulls in, would install signal handlers that can hang.
      "IPATH_NO_BACKTRACE=1",
  };
}

/// $1: where to go; $2 and $3: the job and the rank; $4: the rendezvous directory; $5 and $6: who binds the
/// program to a node (may be missing, or be of another machine), and its index on this host; the rest: the
/// program. Descriptor 3 is the agent's input. The program gets a session, and so a process group, of its
/// own; a job of a shell without job control leads no group, so setsid does not fork and $! is the group.
/// There is none until setsid has begun: a signal that comes before waits for it. What is left behind is gone
/// when it was not seen three times: one that forks, or runs another program, may be missed by one look.
constexpr std::string_view kKeeper = R"sh(cd "$1" || exit 126
j=$2 r=$3 d=$4 x=$5 i=$6
shift 6
exec 3<&0 </dev/null
[ -n "$x" ] && "$x" --as-local-rank "$i" true 3<&- >/dev/null 2>&1 && set -- "$x" --as-local-rank "$i" "$@"
setsid "$@" 3<&- &
p=$!
( pass() { until kill -s "$1" -- "-$p" || ! kill -0 "$p"; do :; done; }
while read -r s; do pass "$s"; done <&3
trap '' TERM; pass KILL; rm -rf -- "$d" ) 2>/dev/null &
w=$!
exec 3<&-
wait "$p"
c=$?
{ kill -s KILL -- "-$p"; kill -s TERM "$w"; wait "$w"; } 2>/dev/null
n=0 e=0
while [ "$((n += 1))" -le 100 ] && [ "$e" -lt 3 ]; do
  s=$(grep -lszxF "HOLDFAST_JOB=$j" /proc/[0-9]*/environ)
  [ -n "$s" ] && s=$(grep -lszxF "HOLDFAST_RANK=$r" $s)
  [ -n "$s" ] || { e=$((e + 1)); continue; }
  e=0
  for f in $s; do f=${f#/proc/}; kill -s KILL "${f%/environ}"; done
done 2>/dev/null
exit "$c")sh";

}  // namespace

std::string quote(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'')
      quoted += "'\\''";
    else
      quoted += c;
  }
  return quoted + "'";
}

Command local_command(const Options& options, const Job& job, std::uint32_t rank) {
  return {.words = options.command, .environment = rank_environment(options, job, rank)};
}

Command remote_command(const Options& options, const Job& job, const RemoteRank& rank) {
  Command command{.words = options.agent, .environment = {}};
  std::string script = "exec sh -c " + quote(std::string(kKeeper)) + " holdfast-run";
  for (const std::string& word : {job.working_directory, job.name, std::to_string(rank.rank), job.directory,
                                  options.pin ? job.program : "", std::to_string(rank.index_there)})
    script += " " + quote(word);
  script += " env";
  const auto own = rank_environment(options, job, rank.rank);
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view assignment = *at;
    const std::string name(assignment.substr(0, assignment.find('=')));
    if (!is_handed_on(name) && std::ranges::find(options.exported, name) == options.exported.end()) continue;
    // env takes the last of two assignments, but there is no need for two
    if (std::ranges::any_of(own, [&](const std::string& mine) { return mine.starts_with(name + "="); }))
      continue;
    script += " " + quote(std::string(assignment));
  }
  for (const std::string& assignment : own) script += " " + quote(assignment);
  for (const std::string& word : options.command) script += " " + quote(word);
  command.words.push_back(rank.host);
  command.words.push_back(script);
  return command;
}

}  // namespace holdfast::run
