// SPDX-License-Identifier: Apache-2.0
#include "bucket_table.h"

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace mapwire {

namespace {

// Buckets looked at for a way to make room.
constexpr size_t kSearch = 512;

uint64_t Load(const uint64_t* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
void Store(uint64_t* word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

template <typename T>
T As(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

static_assert(sizeof(mw_ip4_slot) == 16 && sizeof(mw_mac_slot) == 16 && sizeof(mw_ip6_slot) == 32);
static_assert(offsetof(mw_mac_slot, mark) == 4 && offsetof(mw_mac_slot, mac) == 6 && offsetof(mw_mac_slot, network) == 12);
static_assert(offsetof(mw_ip4_slot, mark) == 4 && offsetof(mw_ip4_slot, addr_be) == 8 &&
              offsetof(mw_ip4_slot, network) == 12);
static_assert(offsetof(mw_ip6_slot, mark) == 4 && offsetof(mw_ip6_slot, network) == 8 && offsetof(mw_ip6_slot, addr) == 16);

}  // namespace

BucketTable::BucketTable(BucketKind kind, void* memory, uint32_t buckets, uint64_t seed)
    : kind_(kind),
      per_slot_(kind == BucketKind::kIp6 ? 4 : 2),
      words_(static_cast<Word*>(memory)),
      buckets_(buckets),
      seed_(seed) {}

size_t BucketTable::key_size() const {
  switch (kind_) {
    case BucketKind::kIp4: return sizeof(mw_ip4_key);
    case BucketKind::kIp6: return sizeof(mw_ip6_key);
    default: return sizeof(mw_mac_key);
  }
}

size_t BucketTable::value_size() const {
  switch (kind_) {
    case BucketKind::kIp4: return sizeof(mw_ip4_value);
    case BucketKind::kIp6: return sizeof(mw_ip6_value);
    default: return sizeof(mw_mac_value);
  }
}

mw_slot_key BucketTable::KeyOf(const uint8_t* bytes) const {
  mw_slot_key result = {};
  switch (kind_) {
    case BucketKind::kIp4: {
      auto key = As<mw_ip4_key>(bytes);
      result.word[0] = MW_PAIR(key.addr_be, key.network);
      break;
    }
    case BucketKind::kIp6: {
      auto key = As<mw_ip6_key>(bytes);
      result.word[0] = MW_PAIR(key.network, 0);
      std::memcpy(&result.word[1], key.addr, sizeof(key.addr));
      break;
    }
    case BucketKind::kMac: {
      auto key = As<mw_mac_key>(bytes);
      uint16_t tail;
      uint32_t rest;
      std::memcpy(&tail, key.mac, sizeof(tail));
      std::memcpy(&rest, key.mac + sizeof(tail), sizeof(rest));
      result.word[0] = MW_PAIR(rest, key.network);
      result.tail = tail;
      break;
    }
  }
  return result;
}

BucketTable::Item BucketTable::ItemOf(const uint8_t* key, const uint8_t* value) const {
  Item item = {KeyOf(key), 0, 0};
  switch (kind_) {
    case BucketKind::kIp4: {
      auto v = As<mw_ip4_value>(value);
      item.port = v.port;
      item.flags = static_cast<uint16_t>(v.flags);
      break;
    }
    case BucketKind::kIp6: {
      auto v = As<mw_ip6_value>(value);
      item.port = v.port;
      item.flags = static_cast<uint16_t>(v.flags);
      break;
    }
    case BucketKind::kMac: {
      auto v = As<mw_mac_value>(value);
      item.port = v.port;
      item.flags = v.flags;
      break;
    }
  }
  return item;
}

void BucketTable::ToBytes(const Item& item, uint8_t* key_bytes, uint8_t* value_bytes) const {
  switch (kind_) {
    case BucketKind::kIp4: {
      mw_ip4_key key = {MW_PAIR_SECOND(item.key.word[0]), MW_PAIR_FIRST(item.key.word[0])};
      mw_ip4_value value = {item.port, key.network, key.addr_be, item.flags};
      if (key_bytes != nullptr) std::memcpy(key_bytes, &key, sizeof(key));
      std::memcpy(value_bytes, &value, sizeof(value));
      break;
    }
    case BucketKind::kIp6: {
      mw_ip6_key key = {};
      key.network = MW_PAIR_FIRST(item.key.word[0]);
      std::memcpy(key.addr, &item.key.word[1], sizeof(key.addr));
      mw_ip6_value value = {};
      value.port = item.port;
      value.network = key.network;
      std::memcpy(value.addr, key.addr, sizeof(key.addr));
      value.flags = item.flags;
      if (key_bytes != nullptr) std::memcpy(key_bytes, &key, sizeof(key));
      std::memcpy(value_bytes, &value, sizeof(value));
      break;
    }
    case BucketKind::kMac: {
      mw_mac_key key = {};
      auto tail = static_cast<uint16_t>(item.key.tail);
      uint32_t rest = MW_PAIR_FIRST(item.key.word[0]);
      key.network = MW_PAIR_SECOND(item.key.word[0]);
      std::memcpy(key.mac, &tail, sizeof(tail));
      std::memcpy(key.mac + sizeof(tail), &rest, sizeof(rest));
      mw_mac_value value = {};
      value.port = item.port;
      value.network = key.network;
      std::memcpy(value.mac, key.mac, sizeof(key.mac));
      value.flags = item.flags;
      if (key_bytes != nullptr) std::memcpy(key_bytes, &key, sizeof(key));
      std::memcpy(value_bytes, &value, sizeof(value));
      break;
    }
  }
}

// What a slot holds; false: nothing, or it is being written.
bool BucketTable::ReadSlot(uint32_t bucket, uint32_t slot, Item* item) const {
  const Word* at = Slot(bucket, slot);
  Word head = Load(at);
  if (MW_HEAD_PORT(head) == 0) return false;
  item->key = {};
  for (uint32_t i = 1; i < per_slot_; i++) item->key.word[i - 1] = Load(at + i);
  item->key.tail = MW_HEAD_TAIL(head);
  item->port = MW_HEAD_PORT(head);
  item->flags = MW_HEAD_MARK(head) & MW_MARK_FLAGS;
  Word again = Load(at);
  return MW_HEAD_PORT(again) != 0 && ((head ^ again) & MW_HEAD_SAME) == 0;
}

bool BucketTable::Holds(uint32_t bucket, uint32_t slot, const mw_slot_key& key, Word* head) const {
  const Word* at = Slot(bucket, slot);
  *head = Load(at);
  // The one word that tells most keys apart comes first.
  if (Load(at + 1) != key.word[0] || MW_HEAD_PORT(*head) == 0 || MW_HEAD_TAIL(*head) != key.tail) return false;
  for (uint32_t i = 2; i < per_slot_; i++)
    if (Load(at + i) != key.word[i - 1]) return false;
  Word again = Load(at);
  return MW_HEAD_PORT(again) != 0 && ((*head ^ again) & MW_HEAD_SAME) == 0;
}

bool BucketTable::Find(const mw_slot_key& key, uint64_t hash, Place* place, Word* head) const {
  for (uint32_t bucket : {mw_bucket_first(hash, buckets_), mw_bucket_second(hash, buckets_)}) {
    for (uint32_t slot = 0; slot < MW_BUCKET_SLOTS; slot++) {
      if (!Holds(bucket, slot, key, head)) continue;
      *place = {bucket, slot};
      return true;
    }
  }
  return false;
}

bool BucketTable::FindFree(uint32_t bucket, Place* place) const {
  for (uint32_t slot = 0; slot < MW_BUCKET_SLOTS; slot++) {
    if (MW_HEAD_PORT(Load(Slot(bucket, slot))) != 0) continue;
    *place = {bucket, slot};
    return true;
  }
  return false;
}

int BucketTable::Wait(bool may_wait) {
  if (quiet_) return 0;
  if (!may_wait) return -EAGAIN;
  int error = WaitForReaders();
  if (error != 0) return error;
  stats_.waited++;
  occupied_since_ = vacated_since_ = 0;
  return 0;
}

int BucketTable::Occupy(Place place, const Item& item, bool may_wait) {
  // A version can come again only in a slot that was occupied and vacated as often as there are versions.
  if (occupied_since_ >= MW_BUCKET_BUDGET && vacated_since_ >= MW_BUCKET_BUDGET) {
    int error = Wait(may_wait);
    if (error != 0) return error;
  }
  Word* at = Slot(place.bucket, place.slot);
  auto version = static_cast<uint16_t>((MW_HEAD_MARK(Load(at)) & ~MW_MARK_FLAGS) + MW_MARK_FLAGS + 1);
  for (uint32_t i = 1; i < per_slot_; i++) Store(at + i, item.key.word[i - 1]);
  Store(at, MW_HEAD(item.port, version | (item.flags & MW_MARK_FLAGS), item.key.tail));
  occupied_since_++;
  stats_.occupied++;
  return 0;
}

void BucketTable::Vacate(Place place) {
  Word* at = Slot(place.bucket, place.slot);
  Word head = Load(at);
  Store(at, MW_HEAD(0, MW_HEAD_MARK(head) & ~MW_MARK_FLAGS, MW_HEAD_TAIL(head)));
  vacated_since_++;
  stats_.vacated++;
}

// To the other bucket of the same key.
int BucketTable::Move(Place from, Place to, bool may_wait) {
  Item item;
  if (!ReadSlot(from.bucket, from.slot, &item)) return -EIO;
  bool forward = mw_bucket_first(Hash(item.key), buckets_) == from.bucket;
  // Known before anything is written: half a move is no use.
  if (!forward && !quiet_ && !may_wait) return -EAGAIN;
  int error = Occupy(to, item, may_wait);
  if (error != 0) return error;
  moves_.fetch_add(1, std::memory_order_release);
  if (!forward) {
    error = Wait(may_wait);
    if (error != 0) {
      Vacate(to);
      return error;
    }
  }
  Vacate(from);
  stats_.moved++;
  return 0;
}

// A free slot in one of the buckets of a key, made by moving others: breadth first, so the fewest moves. `only_forward`: moves from
// first to second buckets alone, which need no grace period.
int BucketTable::MakeRoom(uint64_t hash, bool only_forward, bool may_wait, Place* place) {
  struct Step {
    uint32_t bucket;
    int32_t from;   // index of the step that leads here; -1: none
    uint32_t slot;  // of that one's bucket: what moves here
  };
  std::vector<Step> steps;
  steps.reserve(kSearch);
  steps.push_back({mw_bucket_first(hash, buckets_), -1, 0});
  steps.push_back({mw_bucket_second(hash, buckets_), -1, 0});
  for (size_t at = 0; at < steps.size(); at++) {
    for (uint32_t slot = 0; slot < MW_BUCKET_SLOTS; slot++) {
      uint32_t bucket = steps[at].bucket;
      Item item;
      if (!ReadSlot(bucket, slot, &item)) continue;
      uint64_t theirs = Hash(item.key);
      uint32_t first = mw_bucket_first(theirs, buckets_);
      uint32_t other = mw_bucket_second(theirs, buckets_);
      if (first != bucket) {
        if (only_forward) continue;
        other = first;
      }
      bool circle = false;
      for (int32_t up = static_cast<int32_t>(at); up >= 0 && !circle; up = steps[up].from)
        circle = steps[up].bucket == other;
      if (circle) continue;
      Place to;
      if (FindFree(other, &to)) {
        Place from = {bucket, slot};
        for (int32_t step = static_cast<int32_t>(at);;) {
          int error = Move(from, to, may_wait);
          if (error != 0) return error;
          to = from;
          if (steps[step].from < 0) break;
          from = {steps[steps[step].from].bucket, steps[step].slot};
          step = steps[step].from;
        }
        *place = to;
        return 0;
      }
      if (steps.size() < kSearch) steps.push_back({other, static_cast<int32_t>(at), slot});
    }
  }
  return -E2BIG;
}

int BucketTable::Put(const uint8_t* key, const uint8_t* value, bool may_wait, bool* changed) {
  std::lock_guard<std::mutex> lock(mutex_);
  Item item = ItemOf(key, value);
  *changed = false;
  if (item.port == 0) return -EINVAL;
  uint64_t hash = Hash(item.key);
  Place place;
  Word head;
  if (Find(item.key, hash, &place, &head)) {
    Word wanted = MW_HEAD(item.port, (MW_HEAD_MARK(head) & ~MW_MARK_FLAGS) | (item.flags & MW_MARK_FLAGS), item.key.tail);
    if (wanted == head) return 0;
    Store(Slot(place.bucket, place.slot), wanted);
    stats_.updated++;
    *changed = true;
    return 0;
  }
  if (!FindFree(mw_bucket_first(hash, buckets_), &place) && !FindFree(mw_bucket_second(hash, buckets_), &place)) {
    int error = quiet_ ? -E2BIG : MakeRoom(hash, true, may_wait, &place);
    if (error == -E2BIG) error = MakeRoom(hash, false, may_wait, &place);
    if (error != 0) return error;
  }
  int error = Occupy(place, item, may_wait);
  *changed = error == 0;
  return error;
}

void BucketTable::Prefetch(const uint8_t* key) const {
  uint64_t hash = Hash(KeyOf(key));
  __builtin_prefetch(Slot(mw_bucket_first(hash, buckets_), 0));
  __builtin_prefetch(Slot(mw_bucket_second(hash, buckets_), 0));
}

bool BucketTable::Remove(const uint8_t* key_bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  mw_slot_key key = KeyOf(key_bytes);
  Place place;
  Word head;
  if (!Find(key, Hash(key), &place, &head)) return false;
  Vacate(place);
  return true;
}

// Without the lock: the event loop must not wait for a writer that waits for a grace period.
bool BucketTable::Get(const uint8_t* key_bytes, uint8_t* value) const {
  Item item = {KeyOf(key_bytes), 0, 0};
  uint64_t hash = Hash(item.key);
  for (;;) {
    uint64_t moves = moves_.load(std::memory_order_acquire);
    Place place;
    Word head;
    if (Find(item.key, hash, &place, &head)) {
      item.port = MW_HEAD_PORT(head);
      item.flags = MW_HEAD_MARK(head) & MW_MARK_FLAGS;
      ToBytes(item, nullptr, value);
      return true;
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (moves_.load(std::memory_order_relaxed) == moves) return false;
  }
}

uint32_t BucketTable::Dump(std::vector<uint8_t>* keys, std::vector<uint8_t>* values) const {
  std::lock_guard<std::mutex> lock(mutex_);
  uint32_t count = 0;
  for (uint32_t bucket = 0; bucket < buckets_; bucket++) {
    for (uint32_t slot = 0; slot < MW_BUCKET_SLOTS; slot++) {
      Item item;
      if (!ReadSlot(bucket, slot, &item)) continue;
      keys->resize(keys->size() + key_size());
      values->resize(values->size() + value_size());
      ToBytes(item, keys->data() + keys->size() - key_size(), values->data() + values->size() - value_size());
      count++;
    }
  }
  return count;
}

int64_t BucketTable::Repair() {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<Place> surplus;
  for (uint32_t bucket = 0; bucket < buckets_; bucket++) {
    for (uint32_t slot = 0; slot < MW_BUCKET_SLOTS; slot++) {
      Item item;
      if (!ReadSlot(bucket, slot, &item)) continue;
      uint64_t hash = Hash(item.key);
      bool first = mw_bucket_first(hash, buckets_) == bucket;
      bool wrong = !first && mw_bucket_second(hash, buckets_) != bucket;
      // The one that readers find counts.
      Place found;
      Word head;
      if (!wrong && Find(item.key, hash, &found, &head) && found.bucket == bucket && found.slot == slot) continue;
      surplus.push_back({bucket, slot});
    }
  }
  // Also when nothing is to be done: how often an earlier writer occupied slots a moment ago is not known.
  int error = Wait(true);
  if (error != 0) return error;
  for (Place place : surplus) Vacate(place);
  return static_cast<int64_t>(surplus.size());
}

BucketStats BucketTable::stats() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return stats_;
}

}  // namespace mapwire
