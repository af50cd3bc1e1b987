//! The name that a filesystem has given itself, for those that do not tell by statfs.

use std::os::fd::{AsFd, AsRawFd as _};

/// FS_IOC_GETFSUUID, Linux 6.9 (linux/fs.h): `_IOR(0x15, 0, struct fsuuid2)`.
const GET_FS_UUID: libc::Ioctl = 0x8011_1500;

/// XFS_IOC_FSGEOMETRY_V1, in every Linux (xfs_fs.h): `_IOR('X', 100, struct xfs_fsop_geom_v1)`.
const XFS_GEOMETRY: libc::Ioctl = 0x8070_5864;

#[repr(C)]
struct FsUuid2 {
    length: u8,
    uuid: [u8; 16],
}

#[repr(C, align(8))]
struct XfsGeometryV1 {
    sizes: [u32; 8],
    counts: [u64; 4],
    uuid: [u8; 16],
    rest: [u32; 8],
}

const _: () = assert!(size_of::<FsUuid2>() == 0x11 && size_of::<XfsGeometryV1>() == 0x70);

/// The UUID of the filesystem that a file is on, if the kernel tells.
pub(crate) fn uuid(file: impl AsFd) -> Option<[u8; 16]> {
    let mut answer = FsUuid2 { length: 0, uuid: [0; 16] };
    // SAFETY: the number says (and the assertion above) that the kernel writes at most 17 bytes, to a structure of that
    // size. A filesystem or kernel that does not know the number writes nothing and gives an error.
    let done = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), GET_FS_UUID, &raw mut answer) };
    (done == 0 && answer.length == 16 && answer.uuid != [0; 16]).then_some(answer.uuid)
}

/// The same for XFS, which has told it long before. To be asked of files on XFS only: numbers of this kind mean other
/// things elsewhere.
pub(crate) fn xfs_uuid(file: impl AsFd) -> Option<[u8; 16]> {
    let mut answer = XfsGeometryV1 { sizes: [0; 8], counts: [0; 4], uuid: [0; 16], rest: [0; 8] };
    // SAFETY: as above, with 112 bytes.
    let done = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), XFS_GEOMETRY, &raw mut answer) };
    (done == 0 && answer.uuid != [0; 16]).then_some(answer.uuid)
}
