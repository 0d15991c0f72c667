/** The kernel's structs are in the byte order of the machine, and Node runs on both. For `DataView` calls. */
export const LITTLE_ENDIAN: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
