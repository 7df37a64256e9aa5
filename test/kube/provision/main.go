// Command provision gives every claim of the test's cluster a volume: a folder of the host's, open to everybody, as
// simple provisioners for single nodes do. A volume that is let go is deleted with what is in it.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	kubeconfig, dir := flag.String("kubeconfig", "", "of the cluster"), flag.String("dir", "", "where the folders are made")
	flag.Parse()
	cfg, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	k := kubernetes.NewForConfigOrDie(cfg)
	ctx := context.Background()
	go release(ctx, k)
	for {
		w, err := k.CoreV1().PersistentVolumeClaims("").Watch(ctx, metav1.ListOptions{})
		if err != nil { // the API server comes back
			log.Print(err)
			time.Sleep(time.Second)
			continue
		}
		for e := range w.ResultChan() {
			c, ok := e.Object.(*corev1.PersistentVolumeClaim)
			if !ok || c.Status.Phase == corev1.ClaimBound || c.Spec.VolumeName != "" || c.DeletionTimestamp != nil {
				continue
			}
			if err := provide(ctx, k, c, *dir); err != nil && !apierrors.IsAlreadyExists(err) {
				log.Print(err)
			}
		}
	}
}

func provide(ctx context.Context, k *kubernetes.Clientset, c *corev1.PersistentVolumeClaim, dir string) error {
	name := "v-" + string(c.UID)
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o777); err != nil { // whatever the umask
		return err
	}
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: c.Spec.Resources.Requests, AccessModes: c.Spec.AccessModes, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			ClaimRef:               &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: c.Namespace, Name: c.Name, UID: c.UID, APIVersion: "v1"},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}},
		},
	}
	if c.Spec.StorageClassName != nil {
		v.Spec.StorageClassName = *c.Spec.StorageClassName
	}
	_, err := k.CoreV1().PersistentVolumes().Create(ctx, v, metav1.CreateOptions{})
	return err
}

// release deletes what no claim has any more.
func release(ctx context.Context, k *kubernetes.Clientset) {
	for {
		w, err := k.CoreV1().PersistentVolumes().Watch(ctx, metav1.ListOptions{})
		if err != nil { // the API server comes back
			log.Print(err)
			time.Sleep(time.Second)
			continue
		}
		for e := range w.ResultChan() {
			if v, ok := e.Object.(*corev1.PersistentVolume); ok && v.Status.Phase == corev1.VolumeReleased && v.Spec.HostPath != nil {
				_ = os.RemoveAll(v.Spec.HostPath.Path)
				_ = k.CoreV1().PersistentVolumes().Delete(ctx, v.Name, metav1.DeleteOptions{})
			}
		}
	}
}
