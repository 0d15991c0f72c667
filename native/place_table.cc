// SPDX-License-Identifier: Apache-2.0
#include "place_table.h"

#include <cstring>
#include <vector>

namespace mapwire {

namespace {

constexpr uint8_t kPriorityNever = 255;  // RFC 9300

uint64_t Load(const uint64_t* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
void Store(uint64_t* word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

// The port has one locator that may be used: what the programs would choose, if its node is up, drained or here.
bool IsPlain(uint32_t id, const mw_port& port) {
  return port.port == id && (port.flags & MW_PORT_DOWN) == 0 && port.at[0].node != 0 && port.at[0].priority != kPriorityNever && port.at[1].node == 0;
}

}  // namespace

bool PlaceTable::Set(uint32_t id, uint32_t network, uint64_t where) {
  uint64_t* at = words_ + static_cast<size_t>(id) * 2;
  uint64_t owner = Load(at + 1);
  if (MW_PAIR_FIRST(owner) == network && (network == 0 || Load(at) == where)) return false;
  if (MW_PAIR_FIRST(owner) == network) {
    Store(at, where);  // a port that moved: one word
    return true;
  }
  uint32_t version = MW_PAIR_SECOND(owner);
  if (MW_PAIR_FIRST(owner) != 0) Store(at + 1, MW_PAIR(0, ++version));
  if (network == 0) return true;
  Store(at, where);
  Store(at + 1, MW_PAIR(network, version + 1));
  return true;
}

bool PlaceTable::PutLocked(uint32_t id, const uint8_t* bytes) {
  if (id >= places_) return false;
  mw_port port;
  std::memcpy(&port, bytes, sizeof(port));
  if (!IsPlain(id, port)) return Set(id, 0, 0);
  return Set(id, port.network, MW_PAIR(port.at[0].node, port.at[0].segment));
}

bool PlaceTable::Put(uint32_t id, const uint8_t* port) {
  std::lock_guard<std::mutex> lock(mutex_);
  return PutLocked(id, port);
}

bool PlaceTable::Clear(uint32_t id) {
  std::lock_guard<std::mutex> lock(mutex_);
  return id < places_ && Set(id, 0, 0);
}

uint32_t PlaceTable::Sync(const uint8_t* ids, const uint8_t* ports, uint32_t count) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<bool> known(places_);
  uint32_t changed = 0;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t id;
    std::memcpy(&id, ids + static_cast<size_t>(i) * sizeof(id), sizeof(id));
    changed += PutLocked(id, ports + static_cast<size_t>(i) * sizeof(mw_port));
    if (id < places_) known[id] = true;
  }
  for (uint32_t id = 0; id < places_; id++)
    if (!known[id]) changed += Set(id, 0, 0);
  return changed;
}

}  // namespace mapwire
