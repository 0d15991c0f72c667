// SPDX-License-Identifier: Apache-2.0
// Verbs for one map entry. All return 0 or -errno unless said otherwise.
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <cerrno>

#include "args.h"
#include "register.h"

namespace mapwire {

namespace {

using Napi::CallbackInfo;
using Napi::Number;
using Napi::Value;

Value Result(const CallbackInfo& info, int error) {
  return Number::New(info.Env(), error == 0 ? 0 : -errno);
}

// mapCreate({type, name, keySize, valueSize, maxEntries, flags, …}): fd
Value MapCreate(const CallbackInfo& info) {
  auto spec = info[0].As<Napi::Object>();
  std::string name = StringArg(spec.Get("name"), "name");
  LIBBPF_OPTS(bpf_map_create_opts, options);
  options.map_flags = U32Member(spec, "flags", 0);
  int inner = FdMember(spec, "innerMapFd", FdKind::kMap);
  if (inner >= 0) options.inner_map_fd = static_cast<uint32_t>(inner);
  int btf = FdMember(spec, "btfFd", FdKind::kBtf);
  if (btf >= 0) {
    options.btf_fd = static_cast<uint32_t>(btf);
    options.btf_key_type_id = U32Member(spec, "btfKeyTypeId", 0);
    options.btf_value_type_id = U32Member(spec, "btfValueTypeId", 0);
  }
  options.map_extra = U64Member(spec, "extra", 0);
  int fd = bpf_map_create(static_cast<bpf_map_type>(U32Member(spec, "type", 0)), name.c_str(),
                          U32Member(spec, "keySize", 0), U32Member(spec, "valueSize", 0),
                          U32Member(spec, "maxEntries", 0), &options);
  if (fd < 0) return Number::New(info.Env(), -errno);
  return Number::New(info.Env(), Context::Of(info.Env()).fds.Adopt(UniqueFd(fd), FdKind::kMap));
}

// mapShape(fd): the sizes of its buffers
Value Shape(const CallbackInfo& info) {
  MapArg map = MapArgument(info, 0);
  auto shape = Napi::Object::New(info.Env());
  shape.Set("type", map.shape.type);
  shape.Set("keySize", map.shape.key_size);
  shape.Set("valueSize", map.shape.value_size);
  shape.Set("valueStride", map.shape.value_stride);
  shape.Set("maxEntries", map.shape.max_entries);
  shape.Set("flags", map.shape.flags);
  return shape;
}

// mapLookup(fd, key, value out, flags)
Value Lookup(const CallbackInfo& info) {
  MapArg map = MapArgument(info, 0);
  Bytes key = BytesArgOfSize(info[1], "key", map.shape.key_size);
  Bytes value = BytesArgOfSize(info[2], "value", map.shape.value_stride);
  return Result(info, bpf_map_lookup_elem_flags(map.fd, key.data, value.data, U32Arg(info[3], "flags")));
}

// mapLookupAndDelete(fd, key, value out)
Value LookupAndDelete(const CallbackInfo& info) {
  MapArg map = MapArgument(info, 0);
  Bytes key = BytesArgOfSize(info[1], "key", map.shape.key_size);
  Bytes value = BytesArgOfSize(info[2], "value", map.shape.value_stride);
  return Result(info, bpf_map_lookup_and_delete_elem(map.fd, key.data, value.data));
}

// mapUpdate(fd, key, value, flags)
Value Update(const CallbackInfo& info) {
  MapArg map = MapArgument(info, 0);
  Bytes key = BytesArgOfSize(info[1], "key", map.shape.key_size);
  Bytes value = BytesArgOfSize(info[2], "value", map.shape.value_stride);
  return Result(info, bpf_map_update_elem(map.fd, key.data, value.data, U32Arg(info[3], "flags")));
}

// mapDelete(fd, key)
Value Delete(const CallbackInfo& info) {
  MapArg map = MapArgument(info, 0);
  Bytes key = BytesArgOfSize(info[1], "key", map.shape.key_size);
  return Result(info, bpf_map_delete_elem(map.fd, key.data));
}

// mapNextKey(fd, key or null, next out)
Value NextKey(const CallbackInfo& info) {
  MapArg map = MapArgument(info, 0);
  bool first = info[1].IsNull() || info[1].IsUndefined();
  Bytes key = first ? Bytes{} : BytesArgOfSize(info[1], "key", map.shape.key_size);
  Bytes next = BytesArgOfSize(info[2], "next", map.shape.key_size);
  return Result(info, bpf_map_get_next_key(map.fd, key.data, next.data));
}

// mapFreeze(fd): no more writes from user space
Value Freeze(const CallbackInfo& info) {
  return Result(info, bpf_map_freeze(MapArgument(info, 0).fd));
}

}  // namespace

void RegisterMap(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "mapCreate", MapCreate);
  Export(env, exports, "mapShape", Shape);
  Export(env, exports, "mapLookup", Lookup);
  Export(env, exports, "mapLookupAndDelete", LookupAndDelete);
  Export(env, exports, "mapUpdate", Update);
  Export(env, exports, "mapDelete", Delete);
  Export(env, exports, "mapNextKey", NextKey);
  Export(env, exports, "mapFreeze", Freeze);
}

}  // namespace mapwire
