// SPDX-License-Identifier: Apache-2.0
// Each file of verbs adds its own to the module.
#pragma once

#include <napi.h>

namespace mapwire {

void RegisterDescriptors(Napi::Env env, Napi::Object exports);
void RegisterObject(Napi::Env env, Napi::Object exports);
void RegisterMap(Napi::Env env, Napi::Object exports);
void RegisterMapBatch(Napi::Env env, Napi::Object exports);
void RegisterMapMemory(Napi::Env env, Napi::Object exports);
void RegisterTables(Napi::Env env, Napi::Object exports);
void RegisterProgram(Napi::Env env, Napi::Object exports);
void RegisterLink(Napi::Env env, Napi::Object exports);
void RegisterRingReader(Napi::Env env, Napi::Object exports);
void RegisterFdWatch(Napi::Env env, Napi::Object exports);
void RegisterNetlink(Napi::Env env, Napi::Object exports);
void RegisterSystem(Napi::Env env, Napi::Object exports);
void RegisterUdp(Napi::Env env, Napi::Object exports);

template <typename Function>
void Export(Napi::Env env, Napi::Object exports, const char* name, Function function) {
  exports.Set(name, Napi::Function::New(env, function, name));
}

}  // namespace mapwire
