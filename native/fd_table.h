// SPDX-License-Identifier: Apache-2.0
// The descriptors this environment handed to JavaScript.
//
// JavaScript holds plain numbers. Every verb looks its number up here first, so a closed or foreign
// descriptor is refused before the kernel sees it, buffers are checked against the true sizes of the
// map, and what a worker_thread leaves open is closed with its environment.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "unique_fd.h"

namespace mapwire {

enum class FdKind { kMap, kProgram, kLink, kBtf, kSocket, kFile };

// What a map's buffers must look like.
struct MapShape {
  uint32_t type = 0;
  uint32_t key_size = 0;
  uint32_t value_size = 0;   // as declared
  uint32_t value_stride = 0;  // as system calls carry it: all possible CPUs, each rounded up to 8
  uint32_t max_entries = 0;
  uint32_t flags = 0;
};

// Reads the shape from the kernel. 0 or -errno.
int ReadMapShape(int fd, MapShape* shape);

class FdTable {
 public:
  FdTable() = default;
  FdTable(const FdTable&) = delete;
  FdTable& operator=(const FdTable&) = delete;
  ~FdTable();

  // Takes the descriptor over and returns its number; -errno if it is not what it should be.
  int Adopt(UniqueFd fd, FdKind kind);
  bool Holds(int fd, FdKind kind) const;
  bool Holds(int fd) const { return entries_.count(fd) != 0; }
  // nullptr unless fd is an open map.
  const MapShape* Map(int fd) const;
  // False if it was not open.
  bool Close(int fd);
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    FdKind kind;
    MapShape shape;
  };
  std::unordered_map<int, Entry> entries_;
};

}  // namespace mapwire
