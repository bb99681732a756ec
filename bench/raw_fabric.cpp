#include "bench/raw_fabric.h"

#include <poll.h>
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>
#include <vector>

#include "holdfast/base/file.h"

namespace holdfast::bench {
namespace {

constexpr std::string_view kOperation = "RawFabric";

template <class Fid>
struct Close {
  void operator()(Fid* fid) const { fi_close(&fid->fid); }
};
template <class Fid>
using Handle = std::unique_ptr<Fid, Close<Fid>>;

struct FreeInfo {
  void operator()(fi_info* info) const { fi_freeinfo(info); }
};
using Info = std::unique_ptr<fi_info, FreeInfo>;

tl::unexpected<Error> broken(std::int64_t rc, std::string_view call) {
  const int number = static_cast<int>(rc < 0 ? -rc : rc);
  return fail(Code::system, kOperation, std::string(call) + ": " + fi_strerror(number));
}

/// The target's side of the introduction.
struct Card {
  std::array<std::byte, 256> address{};
  std::size_t address_bytes = 256;
  std::uint64_t base = 0;
  std::uint64_t key = 0;
};

/// Pages of a memfd, as an arena's: what lies in a file is read and written at another speed than what does
/// not.
class SharedMemory {
 public:
  SharedMemory() = default;
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory() {
    if (bytes_ > 0) munmap(data_, bytes_);
  }
  /// Maps and touches it.
  Status make(std::size_t bytes) {
    const File file(memfd_create("holdfast-bench-raw", MFD_CLOEXEC));
    if (!file || ftruncate(file.get(), static_cast<off_t>(bytes)) != 0)
      return fail_errno(errno, kOperation, "memfd_create");
    void* const mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (mapped == MAP_FAILED) return fail_errno(errno, kOperation, "mmap");
    data_ = static_cast<std::byte*>(mapped);
    bytes_ = bytes;
    memset(data_, 1, bytes_);
    return {};
  }
  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Both sides have the same: a domain, an endpoint, a queue, and registered memory.
struct Side {
  Info info;
  Handle<fid_fabric> fabric;
  Handle<fid_domain> domain;
  Handle<fid_cq> queue;
  Handle<fid_av> addresses;
  Handle<fid_ep> endpoint;
  SharedMemory memory;
  Handle<fid_mr> region;

  Status open(const RawFabricOptions& options, std::uint64_t access, std::uint64_t key);
  Status open_endpoint();
  Status open_memory(std::uint64_t bytes, std::uint64_t access, std::uint64_t key);
};

Result<Info> find(const RawFabricOptions& options) {
  Info hints(fi_allocinfo());
  hints->fabric_attr->prov_name = strdup(options.provider.c_str());
  if (!options.domain.empty()) hints->domain_attr->name = strdup(options.domain.c_str());
  hints->ep_attr->type = FI_EP_RDM;
  hints->caps = FI_MSG | FI_RMA;
  hints->mode = FI_CONTEXT | FI_CONTEXT2;
  hints->domain_attr->mr_mode =
      FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_ENDPOINT;
  hints->domain_attr->threading = FI_THREAD_DOMAIN;
  hints->domain_attr->data_progress = FI_PROGRESS_MANUAL;
  hints->domain_attr->av_type = FI_AV_TABLE;
  fi_info* list = nullptr;
  const int rc = fi_getinfo(FI_VERSION(1, 17), nullptr, nullptr, 0, hints.get(), &list);
  if (rc != 0) return broken(rc, "fi_getinfo");
  const Info all(list);
  for (const fi_info* info = list; info != nullptr; info = info->next)
    if (options.provider == info->fabric_attr->prov_name) return Info(fi_dupinfo(info));
  return fail(Code::unsupported, kOperation, "no provider " + options.provider);
}

Status Side::open(const RawFabricOptions& options, std::uint64_t access, std::uint64_t key) {
  HOLDFAST_TRY(info, find(options));
  HOLDFAST_DO(open_endpoint());
  return open_memory(options.exposed_bytes, access, key);
}

Status Side::open_endpoint() {
  fid_fabric* new_fabric = nullptr;
  if (const int rc = fi_fabric(info->fabric_attr, &new_fabric, nullptr); rc != 0)
    return broken(rc, "fi_fabric");
  fabric.reset(new_fabric);
  fid_domain* new_domain = nullptr;
  if (const int rc = fi_domain(new_fabric, info.get(), &new_domain, nullptr); rc != 0)
    return broken(rc, "fi_domain");
  domain.reset(new_domain);
  fi_cq_attr queue_attributes{};
  queue_attributes.size = 1024;
  queue_attributes.format = FI_CQ_FORMAT_CONTEXT;
  queue_attributes.wait_obj = FI_WAIT_FD;
  fid_cq* new_queue = nullptr;
  if (const int rc = fi_cq_open(new_domain, &queue_attributes, &new_queue, nullptr); rc != 0)
    return broken(rc, "fi_cq_open");
  queue.reset(new_queue);
  fi_av_attr table{};
  table.type = FI_AV_TABLE;
  fid_av* new_addresses = nullptr;
  if (const int rc = fi_av_open(new_domain, &table, &new_addresses, nullptr); rc != 0)
    return broken(rc, "fi_av_open");
  addresses.reset(new_addresses);
  fid_ep* new_endpoint = nullptr;
  if (const int rc = fi_endpoint(new_domain, info.get(), &new_endpoint, nullptr); rc != 0)
    return broken(rc, "fi_endpoint");
  endpoint.reset(new_endpoint);
  for (fid* part : {&new_addresses->fid, &new_queue->fid})
    if (const int rc = fi_ep_bind(new_endpoint, part, part == &new_queue->fid ? FI_TRANSMIT | FI_RECV : 0);
        rc != 0)
      return broken(rc, "fi_ep_bind");
  if (const int rc = fi_enable(new_endpoint); rc != 0) return broken(rc, "fi_enable");
  return {};
}

Status Side::open_memory(std::uint64_t bytes, std::uint64_t access, std::uint64_t key) {
  HOLDFAST_DO(memory.make(bytes));
  fid_mr* new_region = nullptr;
  int rc = fi_mr_reg(domain.get(), memory.data(), bytes, access, 0, key, 0, &new_region, nullptr);
  if (rc != 0) return broken(rc, "fi_mr_reg");
  region.reset(new_region);
  if ((info->domain_attr->mr_mode & FI_MR_ENDPOINT) == 0) return {};
  rc = fi_mr_bind(new_region, &endpoint->fid, 0);
  if (rc == 0) rc = fi_mr_enable(new_region);
  if (rc != 0) return broken(rc, "fi_mr_enable");
  return {};
}

/// The child: exposes, tells where, and sleeps in its queue until it is killed.
[[noreturn]] void run_target(const RawFabricOptions& options, int tell) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Side side;
  Card card;
  if (!side.open(options, FI_REMOTE_READ, 0x1234) ||
      fi_getname(&side.endpoint->fid, card.address.data(), &card.address_bytes) != 0)
    _exit(1);
  const bool virtual_addresses = (side.info->domain_attr->mr_mode & FI_MR_VIRT_ADDR) != 0;
  card.base = virtual_addresses ? reinterpret_cast<std::uint64_t>(side.memory.data()) : 0;
  card.key = fi_mr_key(side.region.get());
  int descriptor = -1;
  if (fi_control(&side.queue->fid, FI_GETWAIT, &descriptor) != 0) _exit(1);
  if (write(tell, &card, sizeof(card)) != sizeof(card)) _exit(1);
  for (;;) {
    fid* queue = &side.queue->fid;
    if (fi_trywait(side.fabric.get(), &queue, 1) == 0) {
      pollfd wait = {descriptor, POLLIN, 0};
      ::poll(&wait, 1, 100);
    }
    fi_cq_entry entry;
    fi_cq_read(side.queue.get(), &entry, 1);
  }
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::chrono::duration<double, std::nano> since(std::chrono::steady_clock::time_point start) {
  return std::chrono::steady_clock::now() - start;
}

}  // namespace

struct RawFabric::Impl {
  Side side;
  Card card;
  fi_addr_t target = FI_ADDR_UNSPEC;
  pid_t child = -1;

  ~Impl() {
    if (child <= 0) return;
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }

  /// Posts a read of what lies at `source` into `offset`; drives the queue while the provider takes none.
  Status post(std::size_t source, std::size_t offset, std::size_t bytes, fi_context2& context, int& ended) {
    for (;;) {
      const ssize_t rc =
          fi_read(side.endpoint.get(), side.memory.data() + offset, bytes, fi_mr_desc(side.region.get()),
                  target, card.base + source, card.key, &context);
      if (rc == 0) return {};
      if (rc != -FI_EAGAIN) return broken(rc, "fi_read");
      HOLDFAST_DO(look(ended));
    }
  }

  /// Counts what has ended.
  Status look(int& ended) {
    std::array<fi_cq_entry, 16> entries;
    const ssize_t count = fi_cq_read(side.queue.get(), entries.data(), entries.size());
    if (count > 0) ended += static_cast<int>(count);
    if (count >= 0 || count == -FI_EAGAIN) return {};
    fi_cq_err_entry error{};
    fi_cq_readerr(side.queue.get(), &error, 0);
    return broken(error.err, "fi_read");
  }

  /// Reads `stream.bytes` once.
  Status read_all(const Stream& stream, std::vector<fi_context2>& contexts) {
    std::size_t posted = 0;
    int started = 0, ended = 0;
    while (posted < stream.bytes || ended < started) {
      while (posted < stream.bytes && started - ended < stream.depth) {
        const std::size_t bytes = std::min(stream.chunk, stream.bytes - posted);
        const std::size_t index = posted / stream.chunk;
        const std::size_t source = index * std::max(stream.stride, stream.chunk);
        HOLDFAST_DO(post(source, posted, bytes, contexts[index], ended));
        posted += bytes;
        ++started;
      }
      HOLDFAST_DO(look(ended));
    }
    return {};
  }
};

RawFabric::RawFabric(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RawFabric::~RawFabric() = default;

Result<std::unique_ptr<RawFabric>> RawFabric::start(const RawFabricOptions& options) {
  int ends[2];
  if (pipe(ends) != 0) return fail_errno(errno, kOperation, "pipe");
  const File from_child(ends[0]);
  File to_parent(ends[1]);
  auto impl = std::make_unique<Impl>();
  impl->child = fork();
  if (impl->child < 0) return fail_errno(errno, kOperation, "fork");
  if (impl->child == 0) run_target(options, to_parent.get());
  to_parent.reset();
  if (::read(from_child.get(), &impl->card, sizeof(impl->card)) != sizeof(impl->card))
    return fail(Code::unsupported, kOperation, "the target could not open " + options.provider);
  HOLDFAST_DO(impl->side.open(options, FI_READ, 0x4321));
  if (fi_av_insert(impl->side.addresses.get(), impl->card.address.data(), 1, &impl->target, 0, nullptr) != 1)
    return fail(Code::system, kOperation, "fi_av_insert");
  std::unique_ptr<RawFabric> raw(new RawFabric(std::move(impl)));
  HOLDFAST_TRY([[maybe_unused]] const double first, raw->read_latency_ns(8, 1));  // connects
  return raw;
}

Result<double> RawFabric::read_latency_ns(std::size_t bytes, int rounds) {
  if (bytes > impl_->side.memory.size() || rounds < 1)
    return fail(Code::invalid, kOperation, "more than is exposed, or no rounds");
  std::vector<double> times;
  for (int round = 0; round < rounds; ++round) {
    fi_context2 context{};
    int ended = 0;
    const auto start = std::chrono::steady_clock::now();
    HOLDFAST_DO(impl_->post(0, 0, bytes, context, ended));
    while (ended == 0) HOLDFAST_DO(impl_->look(ended));
    times.push_back(since(start).count());
  }
  return median(std::move(times));
}

Result<double> RawFabric::read_bandwidth(const Stream& stream) {
  if (stream.bytes == 0 || stream.chunk == 0 || stream.depth < 1 || stream.rounds < 1)
    return fail(Code::invalid, kOperation, "nothing to read");
  const std::size_t chunks = (stream.bytes + stream.chunk - 1) / stream.chunk;
  if (chunks * std::max(stream.stride, stream.chunk) > impl_->side.memory.size())
    return fail(Code::invalid, kOperation, "more than is exposed");
  std::vector<fi_context2> contexts(chunks);
  std::vector<double> rates;
  for (int round = 0; round < stream.rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    HOLDFAST_DO(impl_->read_all(stream, contexts));
    rates.push_back(static_cast<double>(stream.bytes) / since(start).count() * 1e9);
  }
  return median(std::move(rates));
}

}  // namespace holdfast::bench
