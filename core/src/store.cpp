// The public face: checks what it is given, then hands over to Member.
#include "holdfast/store.h"

#include <fmt/format.h>

#include "holdfast/base/log.h"
#include "holdfast/fabric/ofi.h"
#include "src/member.h"

namespace holdfast {

class OpFactory {
 public:
  template <class T>
  static Op<T> make(std::shared_ptr<detail::OpValue<T>> state) {
    return Op<T>(std::move(state));
  }
};

namespace {

/// A member to work with, or why there is none.
Result<Member*> usable(const std::shared_ptr<Member>& member, std::string_view operation) {
  if (!member) return fail(Code::invalid, operation, "this store was moved from");
  if (member->closed()) return fail(Code::invalid, operation, "the store is closed");
  return member.get();
}

/// An operation that failed before it began.
class FailedOp final : public detail::OpValue<Pin> {
 public:
  explicit FailedOp(Error error) : error_(std::move(error)) {}
  bool done() const noexcept override { return true; }
  const void* engine() const noexcept override { return nullptr; }
  void drive(Deadline, const std::function<bool()>&) override {}
  void cancel() noexcept override {}
  Result<Pin> take() override { return tl::unexpected(error_); }

 private:
  Error error_;
};

/// Puts the name into an error's detail: below, only its hash is known.
template <class T>
Result<T> name_in(const Name& name, Result<T> result) {
  if (!result) result.error().detail = fmt::format("name \"{}\": {}", name.text(), result.error().detail);
  return result;
}

Op<Pin> failed_op(Error error) { return OpFactory::make<Pin>(std::make_shared<FailedOp>(std::move(error))); }

/// Threads that start to read later would fail then.
void warn_of_few_ports(const Job& job) {
  const auto range = fabric::port_range_of(job.fabric_info.provider);
  const std::uint32_t needed = 1 + job.options.reading_endpoints;
  if (!range || range->count() >= needed) return;
  log(LogLevel::warning,
      fmt::format(
          "{}={} to {}={} are {} ports for all processes of this host, and this one may need {}: one to "
          "serve and StoreOptions::reading_endpoints; threads that find none cannot read. Widen the range",
          range->low_variable, range->low, range->high_variable, range->high, range->count(), needed));
}

}  // namespace

Result<Store> Store::open() {
  HOLDFAST_TRY(const StoreOptions options, StoreOptions::from_environment());
  return open(options);
}

Result<Store> Store::open(const StoreOptions& options) {
  HOLDFAST_TRY(auto member, Member::open(options));
  warn_of_few_ports(member->job());
  return Store(std::move(member));
}

Store& Store::operator=(Store&& other) noexcept {
  if (this != &other) {
    if (member_ && !member_->closed()) (void)member_->close();
    member_ = std::move(other.member_);
  }
  return *this;
}

Store::~Store() {
  // References and operations may still hold the member; the job must not wait for them.
  if (member_ && !member_->closed()) (void)member_->close();
}

std::uint32_t Store::rank() const noexcept { return member_ ? member_->rank() : 0; }
std::uint32_t Store::size() const noexcept { return member_ ? member_->size() : 0; }
std::string_view Store::job() const noexcept { return member_ ? member_->job_name() : std::string_view(); }

Result<Draft> Store::draft(std::uint64_t size, const PutOptions& options) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::draft"));
  return member->draft(size, options);
}

Result<ObjectRef> Store::put(std::span<const std::byte> bytes, const PutOptions& options) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::put"));
  return member->put(std::nullopt, bytes, options);
}

Result<ObjectRef> Store::put(const Name& name, std::span<const std::byte> bytes, const PutOptions& options) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::put"));
  HOLDFAST_TRY(const Key key, key_of(name));
  return name_in(name, member->put(key, bytes, options));
}

Result<Pin> Store::get(const ObjectRef& ref, Duration timeout, const GetOptions& options) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::get"));
  HOLDFAST_TRY(const Entry entry, member->entry_of(ref, "Store::get"));
  return member->get(entry, {}, timeout, options);
}

Result<Pin> Store::get(const Name& name, Duration timeout, const GetOptions& options) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::get"));
  HOLDFAST_TRY(const Key key, key_of(name));
  return name_in(name, member->get(key, {}, timeout, options));
}

Result<Pin> Store::get(const ObjectRef& ref, ByteRange range, Duration timeout, const GetOptions& options) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::get"));
  HOLDFAST_TRY(const Entry entry, member->entry_of(ref, "Store::get"));
  HOLDFAST_DO(check_range(range, entry.layout.size));
  return member->get(entry, range, timeout, options);
}

Op<Pin> Store::fetch(const ObjectRef& ref, const GetOptions& options) {
  const auto member = usable(member_, "Store::fetch");
  if (!member) return failed_op(member.error());
  const auto entry = (*member)->entry_of(ref, "Store::fetch");
  if (!entry) return failed_op(entry.error());
  return OpFactory::make((*member)->fetch(*entry, options));
}

Op<Pin> Store::fetch(const Name& name, const GetOptions& options) {
  const auto member = usable(member_, "Store::fetch");
  if (!member) return failed_op(member.error());
  const auto key = key_of(name);
  if (!key) return failed_op(key.error());
  return OpFactory::make((*member)->fetch(*key, options));
}

Result<std::uint64_t> Store::get_into(const ObjectRef& ref, std::span<std::byte> buffer, Duration timeout,
                                      const GetOptions& options) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::get_into"));
  HOLDFAST_TRY(const Entry entry, member->entry_of(ref, "Store::get_into"));
  return member->get_into(entry, buffer, timeout, options);
}

std::vector<Result<Pin>> Store::get_many(std::span<const ObjectRef> refs, Duration timeout,
                                         const GetOptions& options) {
  const auto all_failed = [&](const Error& error) {
    std::vector<Result<Pin>> results;
    for (std::size_t i = 0; i < refs.size(); ++i) results.push_back(tl::unexpected(error));
    return results;
  };
  const auto member = usable(member_, "Store::get_many");
  if (!member) return all_failed(member.error());
  std::vector<Entry> entries;
  std::vector<std::optional<Error>> bad(refs.size());
  for (std::size_t i = 0; i < refs.size(); ++i) {
    auto entry = (*member)->entry_of(refs[i], "Store::get_many");
    if (entry)
      entries.push_back(*entry);
    else
      bad[i] = std::move(entry).error();
  }
  auto got = (*member)->get_many(entries, timeout, options);
  if (entries.size() == refs.size()) return got;
  std::vector<Result<Pin>> results;
  std::size_t next = 0;
  for (auto& error : bad)
    results.push_back(error ? Result<Pin>(tl::unexpected(*error)) : std::move(got[next++]));
  return results;
}

Result<std::vector<ObjectRef>> Store::parts(const ObjectRef& ref, Duration timeout) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::parts"));
  HOLDFAST_TRY(const Entry entry, member->entry_of(ref, "Store::parts"));
  return member->parts(entry, timeout);
}

Result<std::string> Store::why(const ObjectRef& ref, Duration timeout) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::why"));
  HOLDFAST_TRY(const Entry entry, member->entry_of(ref, "Store::why"));
  return member->why(entry, timeout);
}

Status Store::prefetch(std::span<const ObjectRef> refs) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::prefetch"));
  std::vector<Entry> entries;
  for (const ObjectRef& ref : refs) {
    HOLDFAST_TRY(const Entry entry, member->entry_of(ref, "Store::prefetch"));
    entries.push_back(entry);
  }
  member->prefetch(entries);
  return {};
}

Result<WaitResult> Store::wait(std::span<const ObjectRef> refs, std::size_t count, Duration timeout) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::wait"));
  std::vector<Entry> entries;
  for (const ObjectRef& ref : refs) {
    HOLDFAST_TRY(const Entry entry, member->entry_of(ref, "Store::wait"));
    entries.push_back(entry);
  }
  return member->wait(entries, count, timeout);
}

Result<ObjectRef> Store::lookup(const Name& name, Duration timeout, const GetOptions& options) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::lookup"));
  HOLDFAST_TRY(const Key key, key_of(name));
  return name_in(name, member->lookup(key, timeout, options));
}

Result<bool> Store::contains(const ObjectRef& ref, Duration timeout) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::contains"));
  HOLDFAST_TRY(const Entry entry, member->entry_of(ref, "Store::contains"));
  return member->contains(entry, timeout);
}

Result<bool> Store::contains(const Name& name, Duration timeout) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::contains"));
  HOLDFAST_TRY(const Key key, key_of(name));
  return name_in(name, member->contains(key, timeout));
}

Status Store::erase(const ObjectRef& ref, Duration timeout) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::erase"));
  return member->erase(ref, timeout);
}

Status Store::erase(const Name& name, Duration timeout) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::erase"));
  HOLDFAST_TRY(const Key key, key_of(name));
  return name_in(name, member->erase(key, timeout));
}

Result<ObjectRef> Store::find(const ObjectId& id, Duration timeout) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::find"));
  return member->find(id, timeout);
}

Result<ObjectRef> Store::redeem(std::string_view token, Duration timeout) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::redeem"));
  return member->redeem(token, timeout);
}

Status Store::barrier(Duration timeout) {
  HOLDFAST_TRY(Member* const member, usable(member_, "Store::barrier"));
  return member->barrier(timeout);
}

Stats Store::stats() const { return usable(member_, "Store::stats") ? member_->stats() : Stats{}; }

Status Store::close() {
  if (!member_) return fail(Code::invalid, "Store::close", "this store was moved from");
  return member_->close();
}

}  // namespace holdfast
