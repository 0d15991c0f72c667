// SPDX-License-Identifier: Apache-2.0
// The writer of the tables of layout: compact. bpf/buckets.h has the protocol and why readers are safe; the layouts are those
// of bpf/types.h. Knows nothing of JavaScript.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "../bpf/buckets.h"

namespace mapwire {

// Returns when every BPF program that ran when it was called is through. Takes milliseconds. 0 or -errno.
int WaitForReaders();

enum class BucketKind : uint32_t { kIp4 = 0, kIp6 = 1, kMac = 2 };

struct BucketStats {
  uint64_t occupied = 0;  // slots
  uint64_t vacated = 0;
  uint64_t updated = 0;
  uint64_t moved = 0;   // of those, by moves
  uint64_t waited = 0;  // grace periods
};

// Keys and values are those of the hash map that the table stands for (struct mw_ip4_key, mw_ip4_value and so on). Calls of one
// table may come from several threads; whoever writes is one at a time.
class BucketTable {
 public:
  // `memory`: `buckets` buckets of this kind, at least 2, aligned to 8 bytes.
  BucketTable(BucketKind kind, void* memory, uint32_t buckets, uint64_t seed);

  size_t key_size() const;
  size_t value_size() const;

  // No program reads the table yet: no grace periods.
  void set_quiet(bool quiet) { quiet_ = quiet; }

  // 0; -E2BIG: no room, or no way to make any; -EAGAIN: it takes a grace period, and `may_wait` is false (nothing was
  // written that would have to be taken back); else what waiting failed with. `changed`: something was stored.
  int Put(const uint8_t* key, const uint8_t* value, bool may_wait, bool* changed);
  // Before Put and Remove of the same key: what they will read is asked for.
  void Prefetch(const uint8_t* key) const;
  bool Remove(const uint8_t* key);
  bool Get(const uint8_t* key, uint8_t* value) const;
  // Every entry, appended.
  uint32_t Dump(std::vector<uint8_t>* keys, std::vector<uint8_t>* values) const;
  // What an interrupted move or a foreign hand left: keys that are twice in the table, or not where they belong. Gives the number
  // of slots vacated, or -errno.
  int64_t Repair();

  BucketStats stats() const;

 private:
  struct Item {
    mw_slot_key key;
    uint32_t port;
    uint16_t flags;
  };
  struct Place {
    uint32_t bucket;
    uint32_t slot;
  };
  using Word = uint64_t;

  Word* Slot(uint32_t bucket, uint32_t slot) const {
    return words_ + (static_cast<size_t>(bucket) * MW_BUCKET_SLOTS + slot) * per_slot_;
  }
  uint64_t Hash(const mw_slot_key& key) const { return mw_bucket_hash(seed_, &key, per_slot_); }
  mw_slot_key KeyOf(const uint8_t* key) const;
  Item ItemOf(const uint8_t* key, const uint8_t* value) const;
  void ToBytes(const Item& item, uint8_t* key, uint8_t* value) const;
  bool ReadSlot(uint32_t bucket, uint32_t slot, Item* item) const;
  bool Holds(uint32_t bucket, uint32_t slot, const mw_slot_key& key, Word* head) const;
  bool Find(const mw_slot_key& key, uint64_t hash, Place* place, Word* head) const;
  bool FindFree(uint32_t bucket, Place* place) const;

  int Wait(bool may_wait);
  int Occupy(Place place, const Item& item, bool may_wait);
  void Vacate(Place place);
  int MakeRoom(uint64_t hash, bool only_forward, bool may_wait, Place* place);
  int Move(Place from, Place to, bool may_wait);

  const BucketKind kind_;
  const uint32_t per_slot_;  // words
  Word* const words_;
  const uint32_t buckets_;
  const uint64_t seed_;
  bool quiet_ = false;
  uint64_t occupied_since_ = 0;  // the last grace period
  uint64_t vacated_since_ = 0;
  BucketStats stats_;
  std::atomic<uint64_t> moves_{0};
  mutable std::mutex mutex_;
};

}  // namespace mapwire
