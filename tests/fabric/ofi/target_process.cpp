#include "tests/fabric/ofi/target_process.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "holdfast/base/file.h"
#include "holdfast/fabric/ofi.h"
#include "tests/devices.h"

extern char** environ;

namespace holdfast::fabric::test {
namespace {

constexpr std::string_view kTargetFlag = "--serve-as-target";
constexpr int kCardDescriptor = 3;
constexpr std::size_t kAddressHeader = 16;  // before the provider's own form of the address

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "target process: %s\n", why.c_str());
  std::_Exit(1);
}

[[noreturn]] void serve(const std::string& provider, unsigned seed) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto fabric =
      open_ofi({.provider = provider, .interface = holdfast::test::device_for(1), .least_endpoints = 1});
  if (!fabric) give_up(fabric.error().message());
  auto endpoint = (*fabric)->open({});
  if (!endpoint) give_up(endpoint.error().message());
  std::vector<std::byte> memory(TargetProcess::kExposedBytes);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = target_byte(i, seed);
  auto remote = (*endpoint)->expose(memory);
  if (!remote) give_up(remote.error().message());
  bool close_endpoint = false;
  (*endpoint)->set_receiver([&](std::span<const std::byte> message) {
    close_endpoint = !message.empty() && message[0] == kCloseYourEndpoint;
  });

  TargetCard card;
  const Address& address = (*endpoint)->address();
  card.address_bytes = static_cast<std::uint32_t>(address.size());
  std::memcpy(card.address, address.data(), address.size());
  card.memory = *remote;
  if (write(kCardDescriptor, &card, sizeof(card)) != sizeof(card)) give_up("the test has gone");
  while (!close_endpoint) (*endpoint)->wait(Deadline::never(), Duration::zero());
  endpoint->reset();
  for (;;) pause();
}

}  // namespace

std::byte target_byte(std::size_t index, unsigned seed) {
  return static_cast<std::byte>((index * 131 + index / 509 + seed) & 0xff);
}

void run_if_target(int argc, char** argv) {
  if (argc == 4 && argv[1] == kTargetFlag)
    serve(argv[2], static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10)));
}

std::unique_ptr<TargetProcess> TargetProcess::start(const TargetOptions& options) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return nullptr;
  const File from_target(ends[0]);
  File to_test(ends[1]);

  // libfabric takes ports to listen at from its environment.
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  if (options.port != 0) {
    for (const char* name : {"FI_NET_PORT_LOW_RANGE=", "FI_NET_PORT_HIGH_RANGE=", "FI_TCP_PORT_LOW_RANGE=",
                             "FI_TCP_PORT_HIGH_RANGE="})
      variables.push_back(name + std::to_string(options.port));
  }
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  std::string program = "/proc/self/exe", flag(kTargetFlag), provider = options.provider;
  std::string seed = std::to_string(options.seed);
  char* arguments[] = {program.data(), flag.data(), provider.data(), seed.data(), nullptr};

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to_test.get(), kCardDescriptor);
  pid_t pid = -1;
  const int rc = posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments, environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (rc != 0) return nullptr;
  to_test.reset();
  TargetCard card;
  const bool told = read(from_target.get(), &card, sizeof(card)) == sizeof(card);
  std::unique_ptr<TargetProcess> target(new TargetProcess(pid, card));
  return told ? std::move(target) : nullptr;
}

TargetProcess::~TargetProcess() { kill_and_reap(); }

std::uint16_t TargetProcess::port() const {
  sockaddr_in address{};
  if (card_.address_bytes != kAddressHeader + sizeof(address)) return 0;
  std::memcpy(&address, card_.address + kAddressHeader, sizeof(address));
  return ntohs(address.sin_port);
}

void TargetProcess::stop() {
  kill(pid_, SIGSTOP);
  int status = 0;
  waitpid(pid_, &status, WUNTRACED);
}

void TargetProcess::go_on() { kill(pid_, SIGCONT); }

void TargetProcess::kill_and_reap() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
}

}  // namespace holdfast::fabric::test
