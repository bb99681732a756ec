// Sequences of accesses to objects, replayed from a seed to the bit on any machine; and what an eviction
// policy that knew the future would make of them.
#pragma once

#include <cstdint>
#include <vector>

namespace holdfast::bench {

struct Trace {
  std::vector<std::uint32_t> keys;   ///< in the order of access
  std::vector<std::uint32_t> sizes;  ///< bytes, by key: 1 KiB to 1 MiB, as many in each doubling
  std::uint64_t capacity = 0;        ///< bytes of the cache it is meant for
};

/// A million accesses to 100,000 objects, the n-th most popular with a probability proportional to 1/n. The
/// cache has 10 % of all their bytes.
Trace zipf_trace(std::uint64_t seed);

/// The same accesses, and after each 20,000 a scan of 10,000 objects that are never used again: about as many
/// bytes as the cache has.
Trace scanned_trace(std::uint64_t seed);

/// The same 11,000 objects in the same order, until it is a million accesses. The cache has a tenth less room
/// than they need.
Trace loop_trace(std::uint64_t seed);

/// The part of the accesses that find their object in a cache governed by Belady's MIN: those go first whose
/// next use is furthest away, the one that was just brought in among them, until the rest fits by bytes. With
/// one size for all this is the optimum; with several it is what knowing all next uses gives to a policy that
/// does not prefer small objects.
double belady_hit_ratio(const Trace& trace);

/// What no policy whatever can exceed: each hit occupies the object's bytes for the time since its last use,
/// there are capacity x accesses to spend, and the cheapest hits are taken (PFOO-L in Berger, Beckmann,
/// Harchol-Balter, "Practical bounds on optimal caching with variable object sizes", SIGMETRICS 2018).
double hit_ratio_bound(const Trace& trace);

}  // namespace holdfast::bench
