// SPDX-License-Identifier: Apache-2.0
// The writer of the array of struct mw_place_slot (layout: compact): where ports with one locator are. Follows the hash map of
// ports, from whose values it is made. bpf/buckets.h has the protocol of slots, which this is too.
#pragma once

#include <cstdint>
#include <mutex>

#include "../bpf/buckets.h"

namespace mapwire {

class PlaceTable {
 public:
  PlaceTable(void* memory, uint32_t places) : words_(static_cast<uint64_t*>(memory)), places_(places) {}

  // Brings a port's slot to what its struct mw_port says: true if something was stored. A port beyond the end has none.
  bool Put(uint32_t id, const uint8_t* port);
  bool Clear(uint32_t id);
  // All: those of `ids` and `ports` (packed u32 and struct mw_port), and none beside. Gives the number of slots that were changed.
  uint32_t Sync(const uint8_t* ids, const uint8_t* ports, uint32_t count);

 private:
  bool PutLocked(uint32_t id, const uint8_t* port);
  bool Set(uint32_t id, uint32_t network, uint64_t where);

  uint64_t* const words_;
  const uint32_t places_;
  std::mutex mutex_;
};

}  // namespace mapwire
