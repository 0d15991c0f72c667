// SPDX-License-Identifier: Apache-2.0
// What belongs to one JavaScript environment (the main thread or one worker_thread).
#pragma once

#include <napi.h>

#include <vector>

#include "fd_table.h"

namespace mapwire {

struct Context {
  FdTable fds;
  std::vector<uint8_t> scratch;  // output of test runs, reused

  static Context& Of(Napi::Env env) { return *env.GetInstanceData<Context>(); }
};

}  // namespace mapwire
