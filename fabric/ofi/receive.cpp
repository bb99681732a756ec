// The buffers that messages arrive in. The provider owns those that are posted; one whose message the
// receiver is looking at belongs to the endpoint, and is posted again when the receiver returns.
#include <fmt/format.h>
#include <rdma/fi_errno.h>

#include "fabric/ofi/endpoint.h"
#include "fabric/ofi/errors.h"
#include "holdfast/base/log.h"

namespace holdfast::fabric::ofi {

Status OfiEndpoint::open_receives(std::uint32_t depth) {
  const std::size_t bytes = std::size_t{depth} * kMaxMessageBytes;
  receive_buffers_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
  if (described_.needs_attach) {
    HOLDFAST_TRY(receive_region_, register_memory({receive_buffers_.get(), bytes}, FI_RECV, "Fabric::open"));
  }
  receive_works_.resize(depth);  // never resized again: the provider has pointers into it
  for (std::uint32_t slot = 0; slot < depth; ++slot) {
    receive_works_[slot].kind = Work::Kind::receive;
    receive_works_[slot].slot = slot;
    unposted_receives_.push_back(slot);
  }
  post_receives();
  if (unposted_receives_.size() == depth)
    return fail(Code::system, "Fabric::open", "the provider takes no receive buffer");
  return {};
}

void OfiEndpoint::post_receives() {
  while (!unposted_receives_.empty()) {
    const std::uint32_t slot = unposted_receives_.back();
    const ssize_t rc =
        fi_recv(endpoint_.get(), receive_buffers_.get() + std::size_t{slot} * kMaxMessageBytes,
                kMaxMessageBytes, receive_region_ ? fi_mr_desc(receive_region_.get()) : nullptr,
                FI_ADDR_UNSPEC, &receive_works_[slot].context);
    if (rc == -FI_EAGAIN) return;  // the provider's queue is shorter than ours; the next poll tries again
    if (rc != 0) {
      log(LogLevel::error, fmt::format("fabric: fi_recv: {}", describe(rc)));
      return;
    }
    unposted_receives_.pop_back();
  }
}

void OfiEndpoint::received(std::uint32_t slot, std::size_t bytes) {
  ++events_;
  ++stats_.receives;
  if (receiver_) receiver_({receive_buffers_.get() + std::size_t{slot} * kMaxMessageBytes, bytes});
  unposted_receives_.push_back(slot);
}

void OfiEndpoint::set_receiver(std::function<void(std::span<const std::byte>)> receiver) {
  receiver_ = std::move(receiver);
}

}  // namespace holdfast::fabric::ofi
