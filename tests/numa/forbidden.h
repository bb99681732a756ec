// What a process that holds nothing but the descriptor of a sealed region must not be able to do.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace holdfast::numa {

/// Tries it all in a child process; returns the names of what worked, joined by blanks.
inline std::string allowed_in_another_process(int fd) {
  int results[2];
  if (::pipe(results) != 0) return "pipe";
  const pid_t child = ::fork();
  if (child < 0) return "fork";
  if (child == 0) {
    // Between fork and exit of a program with threads: system calls only. Past the C library, where
    // sanitizers would take the parent's threads for lost ones.
    const auto leave = [](int code) { ::syscall(SYS_exit_group, code); };
    const auto worked = [&](const char* what, std::size_t length) {
      if (::write(results[1], what, length) < 0) leave(1);
    };
    struct stat status {};
    if (::fstat(fd, &status) != 0) worked("fstat ", 6);
    const auto bytes = static_cast<std::size_t>(status.st_size);
    const auto block = static_cast<std::size_t>(status.st_blksize);
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int again = ::open(path, O_RDWR);
    for (const int each : {fd, again}) {
      if (each < 0) continue;
      if (::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, each, 0) != MAP_FAILED)
        worked("mmap ", 5);
      if (::ftruncate(each, 0) == 0) worked("shrink ", 7);
      if (::ftruncate(each, static_cast<off_t>(2 * bytes)) == 0) worked("grow ", 5);
      if (::pwrite(each, "x", 1, 0) > 0) worked("pwrite ", 7);
      if (::fallocate(each, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(block)) == 0) {
        worked("punch ", 6);
      }
      if (::fcntl(each, F_ADD_SEALS, F_SEAL_WRITE) == 0) worked("seal ", 5);
    }
    leave(0);
  }
  ::close(results[1]);
  std::string allowed;
  char buffer[256];
  for (ssize_t got; (got = ::read(results[0], buffer, sizeof buffer)) > 0;) {
    allowed.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(results[0]);
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    allowed += "crash ";
  return allowed;
}

}  // namespace holdfast::numa
