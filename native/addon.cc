// SPDX-License-Identifier: Apache-2.0
// The addon's entry. It holds mechanism only: verbs over descriptors that return a result or -errno.
// Names, errors, lifetimes and policy are TypeScript's (src/libbpf/).
#include <napi.h>

#include <memory>

#include "context.h"
#include "print_capture.h"
#include "register.h"

namespace mapwire {

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Context());
  PrintCapture::Install();
  RegisterDescriptors(env, exports);
  RegisterObject(env, exports);
  RegisterMap(env, exports);
  RegisterMapBatch(env, exports);
  RegisterMapMemory(env, exports);
  RegisterTables(env, exports);
  RegisterProgram(env, exports);
  RegisterLink(env, exports);
  RegisterRingReader(env, exports);
  RegisterFdWatch(env, exports);
  RegisterNetlink(env, exports);
  RegisterSystem(env, exports);
  RegisterUdp(env, exports);
  return exports;
}

}  // namespace mapwire

static Napi::Object InitModule(Napi::Env env, Napi::Object exports) {
  return mapwire::Init(env, exports);
}

NODE_API_MODULE(mapwire, InitModule)
