#include "fabric/ofi/endpoint.h"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fabric/ofi/address.h"
#include "fabric/ofi/errors.h"
#include "fabric/ofi/ports.h"

namespace holdfast::fabric::ofi {
namespace {

constexpr std::string_view kOpen = "Fabric::open";
constexpr std::string_view kConnect = "Endpoint::connect";

}  // namespace

Result<std::unique_ptr<OfiEndpoint>> OfiEndpoint::open(std::shared_ptr<Domain> domain, const fi_info& info,
                                                       const FabricInfo& described,
                                                       const EndpointOptions& options, const Clock& clock) {
  if (options.receive_depth < 1 || options.receive_depth > 4096)
    return fail(Code::invalid, kOpen,
                fmt::format("receive_depth is {}, must be 1 to 4096", options.receive_depth));
  std::unique_ptr<OfiEndpoint> endpoint(new OfiEndpoint(std::move(domain), info, described, clock));
  HOLDFAST_DO(endpoint->open_objects(options));
  HOLDFAST_DO(endpoint->open_receives(options.receive_depth));
  return endpoint;
}

Status OfiEndpoint::open_objects(const EndpointOptions& options) {
  wake_event_ = File(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake_event_) return fail_ofi(errno, kOpen, "eventfd");
  fid_domain* const domain = domain_->get();
  HOLDFAST_DO(open_queue(kMaxPosted + options.receive_depth));

  fi_av_attr table{};
  table.type = FI_AV_TABLE;
  fid_av* addresses = nullptr;
  if (const int rc = fi_av_open(domain, &table, &addresses, nullptr); rc != 0)
    return fail_opening(rc, kOpen, "fi_av_open", described_);
  addresses_.reset(addresses);

  fid_ep* endpoint = nullptr;
  if (const int rc = fi_endpoint(domain, const_cast<fi_info*>(&info_), &endpoint, nullptr); rc != 0)
    return is_port_shortage(rc) ? fail_ports(rc, kOpen, described_.provider)
                                : fail_opening(rc, kOpen, "fi_endpoint", described_);
  endpoint_.reset(endpoint);
  if (const int rc = fi_ep_bind(endpoint, &addresses->fid, 0); rc != 0)
    return fail_ofi(rc, kOpen, "fi_ep_bind");
  if (const int rc = fi_ep_bind(endpoint, &queue_->fid, FI_TRANSMIT | FI_RECV); rc != 0)
    return fail_ofi(rc, kOpen, "fi_ep_bind");
  if (const int rc = fi_enable(endpoint); rc != 0)
    return is_port_shortage(rc) ? fail_ports(rc, kOpen, described_.provider)
                                : fail_opening(rc, kOpen, "fi_enable", described_);
  return read_own_address();
}

Status OfiEndpoint::open_queue(std::size_t entries) {
  fi_cq_attr attributes{};
  attributes.size = entries;
  attributes.format = FI_CQ_FORMAT_MSG;
  attributes.wait_obj = FI_WAIT_FD;
  fid_cq* queue = nullptr;
  int rc = fi_cq_open(domain_->get(), &attributes, &queue, nullptr);
  if (rc == 0) {
    queue_.reset(queue);
    if (fi_control(&queue->fid, FI_GETWAIT, &queue_fd_) != 0) queue_fd_ = -1;
    return {};
  }
  // Some providers cannot be slept on (efa in 1.17): wait() then looks in at short intervals.
  attributes.wait_obj = FI_WAIT_NONE;
  rc = fi_cq_open(domain_->get(), &attributes, &queue, nullptr);
  if (rc != 0)
    return fail_opening(rc, kOpen,
                        fmt::format("fi_cq_open ({} entries; on soft-RoCE set FI_UNIVERSE_SIZE=32)", entries),
                        described_);
  queue_.reset(queue);
  return {};
}

Status OfiEndpoint::read_own_address() {
  std::array<std::byte, kMaxAddressBytes> raw;
  std::size_t bytes = raw.size();
  if (const int rc = fi_getname(&endpoint_->fid, raw.data(), &bytes); rc != 0)
    return fail_ofi(rc, kOpen, "fi_getname");
  const auto own = std::span(raw).first(std::min(bytes, raw.size()));
  if (described_.rdma) life_sign_ = LifeSign::open(own);
  address_ = wrap_address(info_, own, life_sign_.port());
  if (address_.size() > kMaxAddressBytes)
    return fail(Code::unsupported, kOpen, fmt::format("the provider's addresses have {} bytes", bytes));
  return {};
}

OfiEndpoint::~OfiEndpoint() {
  closing_ = true;
  receiver_ = nullptr;
  // One that could not be opened has none.
  if (endpoint_ && described_.rdma && described_.protocol == "rxm") take_in_arrivals();
  // Regions bound to the endpoint go before it, others after it.
  if ((info_.domain_attr->mr_mode & FI_MR_ENDPOINT) != 0) exposed_.clear();
  endpoint_.reset();  // from here on nothing writes or reads any buffer
  complete_finished();
  for (Transfer& transfer : transfers_.all()) {
    if (transfer.completion == nullptr) continue;
    deadlines_.remove(transfer);
    transfer.error = Error{Code::timed_out, transfer.is_read ? "Endpoint::read" : "Endpoint::send",
                           "the endpoint was closed before the operation ended"};
    Completion& completion = *std::exchange(transfer.completion, nullptr);
    completion.complete(tl::unexpected(*transfer.error));
  }
}

Result<PeerId> OfiEndpoint::connect(std::span<const std::byte> address) {
  HOLDFAST_TRY(const std::span<const std::byte> raw, unwrap_address(info_, address));
  const std::string_view name(reinterpret_cast<const char*>(address.data()), address.size());
  if (const auto known = peer_of_address_.find(name); known != peer_of_address_.end())
    return PeerId{known->second};
  alignas(std::max_align_t) std::array<std::byte, kMaxAddressBytes> aligned{};
  std::memcpy(aligned.data(), raw.data(), raw.size());
  Peer peer;
  const int inserted = fi_av_insert(addresses_.get(), aligned.data(), 1, &peer.address, 0, nullptr);
  if (inserted < 0) return fail_ofi(inserted, kConnect, "fi_av_insert");
  if (inserted != 1) return fail(Code::invalid, kConnect, "the provider does not take this address");
  const auto id = static_cast<std::uint32_t>(peers_.size());
  if (described_.rdma)
    peer.probe_address = life_sign_address(raw, life_sign_in(address));
  else
    peer.probe_address.assign(raw.begin(), raw.end());
  peers_.push_back(std::move(peer));
  peer_of_address_.emplace(name, id);
  return PeerId{id};
}

}  // namespace holdfast::fabric::ofi
