// Scenarios drawn by seed.
#include <algorithm>

#include "holdfast/fabric/sim/random.h"
#include "tests/sim/scenario.h"

namespace holdfast::sim::test {
namespace {

enum class Weather : std::uint8_t { calm, network, deaths, everything };

constexpr std::uint32_t kRecentObjects = 12;  // most acts are about these
constexpr std::uint32_t kNames = 8;

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed), disks_(mix64(seed)), rare_(mix64(~seed)) {
    out_.seed = seed;
  }

  Scenario make() {
    shape();
    const std::uint64_t acts = 40 + random_.below(20 * out_.members);
    // Close together, so that they meet; or apart, so that probes and expiries come between.
    const std::uint64_t longest_pause = pick<std::uint64_t>({50, 2'000, 50'000});
    for (std::uint64_t i = 0; i < acts; ++i) {
      now_ += random_.below(longest_pause);
      if (weather_ != Weather::calm && random_.one_in(12))
        trouble();
      else
        work();
    }
    std::ranges::stable_sort(out_.steps, {}, &Step::at_us);
    return std::move(out_);
  }

 private:
  template <class T>
  T pick(std::initializer_list<T> from) {
    return *(from.begin() + random_.below(from.size()));
  }
  std::uint32_t member() { return static_cast<std::uint32_t>(random_.below(out_.members)); }
  std::uint32_t object() {
    const std::uint32_t recent = std::min(objects_, kRecentObjects);
    return objects_ - static_cast<std::uint32_t>(random_.below(recent));
  }
  std::uint32_t name() { return 1 + static_cast<std::uint32_t>(random_.below(kNames)); }
  std::uint64_t size() {
    switch (random_.below(8)) {
      case 0:
        return random_.below(64);
      case 1:
        return 10'000 + random_.below(30'000);
      case 2:
        return random_.one_in(4) ? 65'536 + random_.below(40'000) : 9'000;
      default:
        return 8 + random_.below(3'000);
    }
  }
  struct Draw {
    std::uint32_t who = 0;
    Act act = Act::put;
    std::uint32_t what = 0;
    std::uint32_t other = 0;
    std::uint64_t amount = 0;
  };
  /// In braces, so that what is drawn in the call is drawn in the order in which it stands there.
  void add(const Draw& step) {
    out_.steps.push_back({now_, step.who, step.act, step.what, step.other, step.amount});
  }

  void shape() {
    weather_ = static_cast<Weather>(random_.below(4));
    out_.members = random_.one_in(4) ? 5 + static_cast<std::uint32_t>(random_.below(46))
                                     : 2 + static_cast<std::uint32_t>(random_.below(8));
    out_.members_per_host = pick<std::uint32_t>({1, 1, 2, 3});
    out_.share_memory = random_.one_in(2);
    out_.needs_target = random_.one_in(3);
    out_.scatter = random_.one_in(2);
    out_.eager = random_.one_in(2);
    out_.s3_fifo = random_.one_in(2);
    out_.piece_bytes = pick<std::uint32_t>({64, 256, 4096});
    out_.jitter_us = pick<std::uint32_t>({0, 3, 50, 3'000});
    out_.detection_ms = pick<std::uint32_t>({20, 500, 4000});
    out_.token_ms = pick<std::uint32_t>({20, 300, 2000});
    out_.arena_kib = pick<std::uint32_t>({192, 256, 512});
    if (disks_.one_in(2)) disks();
    out_.verify_all = !rare_.one_in(4);
    out_.checksums = !rare_.one_in(8);
    out_.member_timeout_ms = pick_rare<std::uint32_t>({0, 0, 2'000, 10'000});
    if (rare_.one_in(4)) out_.nodes = 2;
    out_.gather = pick_rare<std::uint32_t>({1, 4});
    if (!rare_.one_in(4)) return;
    out_.straggler_one_in = pick_rare<std::uint32_t>({10, 200});
    out_.straggle_us = pick_rare<std::uint32_t>({500, 20'000});
  }

  template <class T>
  T pick_rare(std::initializer_list<T> from) {
    return *(from.begin() + rare_.below(from.size()));
  }
  template <class T>
  T pick_disks(std::initializer_list<T> from) {
    return *(from.begin() + disks_.below(from.size()));
  }
  void disks() {
    out_.disks = pick_disks<std::uint32_t>({1, 1, 2});
    out_.spill_above = pick_disks<std::uint32_t>({5, 30, 80});
    out_.disk_kib = pick_disks<std::uint32_t>({0, 0, 256, 1024});
    out_.disk_latency_us = pick_disks<std::uint32_t>({10, 80, 2'000});
    out_.disk_mb_per_s = pick_disks<std::uint32_t>({20, 200, 2'000});
    out_.arena_kib = pick_disks<std::uint32_t>({128, 192});
  }

  /// More than the arena holds, all kept; what is on disk is got, in parts, ahead, by many.
  void overfill() {
    const std::uint32_t owner = member(), reader = member();
    const std::uint64_t now = now_, pause = pick_disks<std::uint64_t>({0, 200, 5'000, 40'000});
    const std::uint32_t first = objects_ + 1;
    for (std::uint64_t i = 0, count = 4 + disks_.below(12); i < count; ++i) {
      const std::uint64_t bytes =
          disks_.one_in(4) ? 20'000 + disks_.below(60'000) : 2'000 + disks_.below(20'000);
      const bool with_part = objects_ >= first && disks_.one_in(4);
      const std::uint32_t part =
          with_part ? first + static_cast<std::uint32_t>(disks_.below(objects_ + 1 - first)) : 0;
      const std::uint32_t what = ++objects_;
      add({owner, with_part ? Act::put_parts : Act::put, what, part, bytes});
      if (disks_.one_in(2)) add({owner, Act::pass, what, reader});
      now_ += disks_.below(pause + 1);
    }
    const auto one = [&] { return first + static_cast<std::uint32_t>(disks_.below(objects_ + 1 - first)); };
    for (int i = 0; i < 16; ++i) {
      now_ += disks_.below(pause + 100);
      const std::uint32_t who = disks_.one_in(2) ? owner : reader, what = one();
      const Act act = pick_disks({Act::get, Act::get, Act::get_range, Act::get_into, Act::get_many, Act::pin,
                                  Act::pin, Act::prefetch, Act::prefetch, Act::parts, Act::drop, Act::drop});
      const std::uint64_t amount = act == Act::get_range ? disks_.next() : disks_.below(30'000);
      add({who, act, what, 0, amount});
      if (disks_.one_in(8)) add({who, Act::erase, one()});
    }
    now_ = now;
  }

  void disk_trouble() {
    const std::uint32_t who = member();
    const std::uint64_t now = now_;
    switch (disks_.below(6)) {
      case 0:
        add({who, Act::disk_full, 0});
        break;
      case 1:
        add({who, Act::disk_damage, 0});
        return;
      case 2:
      case 3:
        add({who, Act::disk_slow, 0, 0, 2 + disks_.below(500)});
        break;
      default:
        add({who, Act::disk_fail, 0, 1 + static_cast<std::uint32_t>(disks_.below(3)), 1 + disks_.below(4)});
    }
    now_ += disks_.below(500'000);
    add({who, Act::disk_mend, 0});
    now_ = now;
  }

  void work() {
    if (out_.disks != 0 && disks_.one_in(10)) return overfill();
    if (rare_.one_in(60)) return everybody_arrives();
    if (objects_ == 0 || random_.one_in(5)) return make_object();
    if (rare_.one_in(30)) return call_off();
    switch (random_.below(18)) {
      case 16:
        return hold_and_drop();
      case 17:
        return write_over();
      case 0:
        return add({member(), Act::get_name, 0, name(), random_.below(2)});
      case 1:
        return add({member(), Act::lookup, object(), name(), random_.below(2)});
      case 2:
        return pin();
      case 3:
        return add({member(), Act::get_range, object(), 0, random_.next()});
      case 4:
        return add({member(), pick({Act::get_into, Act::wait, Act::get_many}), object()});
      case 5:
        return random_.one_in(3) ? add({member(), Act::erase, object()})
                                 : add({member(), Act::erase_name, 0, name()});
      case 6:
      case 7:
      case 8:
        return pass_on(object());
      case 9:
      case 10:
      case 11:
        // By many: who has a handle cannot be known here.
        for (std::uint32_t i = 0; i < 3; ++i) add({member(), Act::drop, object()});
        return;
      default:
        for (std::uint32_t i = 0; i < 2; ++i) add({member(), Act::get, object()});
    }
  }

  /// What is not there yet, mostly: a draft's handle was passed on, or nobody has the name.
  void call_off() {
    const std::uint32_t who = member_by(rare_);
    const std::uint32_t named = rare_.one_in(2) ? 1 + static_cast<std::uint32_t>(rare_.below(kNames)) : 0;
    const std::uint32_t recent = std::min(objects_, kRecentObjects);
    const std::uint32_t what = objects_ - static_cast<std::uint32_t>(rare_.below(recent));
    const std::uint64_t longest = pick_rare<std::uint64_t>({10, 1'000, 50'000});
    add({who, Act::call_off, what, named, rare_.below(longest)});
  }

  /// One after the other, some a second time; seldom one not at all.
  void everybody_arrives() {
    const std::uint64_t now = now_, longest = pick_rare<std::uint64_t>({100, 4'000, 200'000});
    for (std::uint32_t who = 0; who < out_.members; ++who) {
      if (rare_.one_in(50)) continue;
      now_ = now + rare_.below(longest);
      add({who, Act::barrier});
      now_ = now + longest + rare_.below(longest);
      if (rare_.one_in(4)) add({who, Act::barrier});
    }
    now_ = now;
  }

  /// Most for a while, some for longer than most operations have time.
  void pin() {
    const std::uint32_t who = member(), what = object();
    const std::uint64_t time = random_.below(30'000);
    add({who, Act::pin, what, 0, rare_.one_in(4) ? 100 * time : time});
  }

  /// A member gets an object again and again, about when it has let go of it: drops and holds meet on the
  /// way.
  void hold_and_drop() {
    const std::uint32_t owner = member(), holder = member(), what = ++objects_;
    const std::uint64_t now = now_;
    add({owner, Act::put, what, 0, size()});
    for (int i = 0; i < 6; ++i) {
      add({owner, Act::pass, what, holder, random_.below(2)});
      now_ += random_.below(9'000);
      add({holder, Act::drop, what});
      if (random_.one_in(4)) add({holder, Act::get, what});
    }
    now_ = now;
    drop_and_hold(owner, holder);
  }

  /// Some drop an object and get it again at once; in the end they alone keep it, by holds that may have met
  /// the drops before.
  void drop_and_hold(std::uint32_t owner, std::uint32_t first) {
    const std::uint32_t what = ++objects_, holders = std::min(out_.members, 4U);
    const std::uint64_t now = now_;
    const auto each = [&](const auto& act) {
      for (std::uint32_t i = 0; i < holders; ++i)
        if (const std::uint32_t holder = (first + i) % out_.members; holder != owner) act(holder);
    };
    add({owner, Act::put, what, 0, 100});
    for (int i = 0; i < 2; ++i) each([&](std::uint32_t holder) { add({owner, Act::pass, what, holder}); });
    now_ += 30'000;
    each([&](std::uint32_t holder) { add({holder, Act::drop, what}); });
    each([&](std::uint32_t holder) { add({owner, Act::pass, what, holder}); });
    now_ += 30'000;
    add({owner, Act::drop, what});
    now_ = now;
  }

  /// Large objects are erased while others read them, and new ones take their place.
  void write_over() {
    const std::uint32_t owner = member(), reader = member();
    const std::uint64_t now = now_, bytes = 40'000 + random_.below(30'000);
    std::uint32_t what = ++objects_;
    add({owner, Act::put, what, 0, bytes});
    for (int i = 0; i < 3; ++i) {
      now_ = now + static_cast<std::uint64_t>(i) * 20'000;
      add({owner, Act::pass, what, reader});
      now_ += 12'000;
      add({reader, Act::get, what});
      add({reader, Act::get_into, what});
      now_ += random_.below(200);
      add({owner, Act::erase, what});
      add({owner, Act::put, what = ++objects_, 0, bytes});
    }
    now_ = now;
  }

  void make_object() {
    const std::uint32_t who = member(), what = ++objects_;
    const std::uint32_t named = random_.one_in(3) ? name() : 0;
    const std::uint64_t bytes = size();
    if (random_.one_in(4)) {
      add({who, Act::draft, what, 0, bytes});
      const std::uint64_t now = now_;
      if (random_.one_in(2)) pass_from(who, what);
      now_ = now + random_.below(20'000);
      add({who, random_.one_in(5) ? Act::abandon : Act::seal, what, named});
      now_ = now;
    } else {
      add({who, Act::put, what, named, bytes});
      if (random_.one_in(2)) pass_from(who, what);
    }
    if (random_.one_in(3)) {  // dropped by its maker, soon: others keep it, or nobody
      const std::uint64_t now = now_;
      now_ += random_.below(10'000);
      add({who, Act::drop, what});
      now_ = now;
    }
  }
  void pass_from(std::uint32_t who, std::uint32_t what) {
    const std::uint64_t to = 1 + random_.below(3);
    for (std::uint64_t i = 0; i < to; ++i) {
      const std::uint32_t whom = member();
      add({who, Act::pass, what, whom, random_.below(4)});
    }
  }
  void pass_on(std::uint32_t what) {
    for (std::uint32_t i = 0; i < 3; ++i) {
      const std::uint32_t who = member(), whom = member();
      add({who, Act::pass, what, whom, random_.below(3)});
    }
  }

  void host_goes_dark() {
    const std::uint64_t now = now_;
    add({member_by(rare_), Act::power_loss, 0});
    now_ += rare_.below(pick_rare<std::uint64_t>({100'000, 10'000'000}));
    add({0, Act::power_back, 0});
    now_ = now;
  }
  void queues_fill_up() {
    constexpr std::uint64_t kAny = 65'536;
    const std::uint32_t who = member_by(rare_);
    const std::uint64_t now = now_;
    add({who, Act::full_queues, 0, 0, rare_.below(4)});
    now_ += rare_.below(pick_rare<std::uint64_t>({1'000, 300'000}));
    add({who, Act::full_queues, 0, 0, kAny});
    now_ = now;
  }
  std::uint32_t member_by(Random& random) { return static_cast<std::uint32_t>(random.below(out_.members)); }

  void slow_down(std::uint32_t who, Act what) {
    add({who, what, 0, 0, 2 + random_.below(20)});
    now_ += random_.below(100'000);
    add({who, what, 0, 0, 1});
  }

  /// Longer than any of the protocols' timeouts.
  std::uint64_t seldom_long() { return rare_.one_in(12) ? rare_.below(40'000'000) : 0; }

  /// From all others, or from about half of them.
  void cut_off(std::uint32_t who) {
    const bool half = rare_.one_in(2);
    for (std::uint32_t other = 0; other < out_.members; other += out_.members_per_host)
      if (!half || rare_.one_in(2)) add({who, Act::cut, 0, other, 0});
  }

  void trouble() {
    if (out_.disks != 0 && disks_.one_in(3)) return disk_trouble();
    const bool network = weather_ != Weather::deaths, deaths = weather_ != Weather::network;
    if (network && rare_.one_in(10)) return queues_fill_up();
    if (deaths && rare_.one_in(20)) return host_goes_dark();
    const std::uint32_t who = member(), other = member();
    const std::uint64_t now = now_;
    switch (random_.below(8)) {
      case 0:
        if (!deaths) break;
        add({who, Act::crash, 0});
        now_ += random_.below(2'000'000);
        if (random_.one_in(2)) add({who, Act::restart, 0});
        break;
      case 1:
        if (deaths) add({who, Act::leave, 0});
        break;
      case 2:
        add({who, Act::stop, 0});
        now_ += random_.below(pick<std::uint64_t>({1'000, 3'000'000})) + seldom_long();
        add({who, Act::resume, 0});
        break;
      case 3:
        slow_down(who, rare_.one_in(3) ? Act::slow_host : Act::slow);
        break;
      case 4:
      case 5:
        if (!network) break;
        add({who, Act::cut, 0, other, random_.below(2)});
        if (rare_.one_in(6)) cut_off(who);
        now_ += random_.below(pick<std::uint64_t>({10'000, 500'000, 8'000'000})) + seldom_long();
        add({who, Act::heal, 0});
        break;
      default:
        if (network) add({who, Act::break_link, 0, other});
    }
    now_ = now;
  }

  Random random_;
  Random disks_;  ///< for what concerns disks: scenarios without are what they were
  Random rare_;   ///< for what few scenarios have: the same
  Weather weather_ = Weather::calm;
  Scenario out_;
  std::uint64_t now_ = 0;
  std::uint32_t objects_ = 0;
};

}  // namespace

Scenario make_scenario(std::uint64_t seed) { return Generator(seed).make(); }

}  // namespace holdfast::sim::test
